#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "trace/settings.hpp"

namespace namm::trace {

/// Which prompt it is.
struct PromptFacts {
  std::string id, task, split;
  std::vector<Token> compressed;  ///< tokens that the memory decides about: the context, and the question if it comes before
  std::vector<Token> tail;        ///< what follows, seen with what was kept: question and answer
  std::size_t answer_tokens = 0;  ///< at the end of the tail
};

/// Where things are in the record of one layer of one prompt. Head by head, in floats:
///
///     token values [4][tokens] | update 0: accumulated, last row (, window mean, spectrogram × 17) [tokens seen] | update 1 ...
///
/// and behind all heads keys [tokens][kv_heads * key_size], values [tokens][kv_heads * value_size].
class Layout {
 public:
  enum TokenValue : std::size_t { key_norm, value_norm, question, answer };  ///< the last two: mean attention received
  Layout(const Settings& settings, const RecordedLayer& layer, std::size_t tokens);

  std::size_t tokens() const { return tokens_; }
  const std::vector<std::size_t>& updates() const { return updates_; }  ///< tokens seen at each
  std::size_t token_values(std::size_t head, TokenValue which) const { return head * head_floats_ + which * tokens_; }
  std::size_t statistics(std::size_t head, std::size_t update) const { return head * head_floats_ + first_[update]; }
  std::size_t rows() const { return rows_; }  ///< bytes before keys
  std::size_t bytes() const { return bytes_; }

 private:
  std::size_t tokens_, head_floats_ = 0, rows_ = 0, bytes_ = 0;
  std::vector<std::size_t> updates_, first_;
};

/// Bytes of one prompt's record, all layers; for the estimate.
std::uint64_t record_bytes(const Settings& settings, std::size_t tokens);

/// What policies read at one update, of the tokens [0, seen). Empty where it is not recorded.
struct UpdateStatistics {
  std::span<const float> accumulated, last_row, window_mean, spectrogram;
};

/// One layer of one prompt; a view of bytes that are a multiple of four and aligned so.
class LayerRecord {
 public:
  LayerRecord(const Settings& settings, const RecordedLayer& layer, Layout layout, std::span<const std::byte> bytes);
  const RecordedLayer& layer() const { return *layer_; }
  const Layout& layout() const { return layout_; }
  std::span<const std::byte> bytes() const { return bytes_; }
  /// `head` counts the recorded heads.
  std::span<const float> token_values(std::size_t head, Layout::TokenValue which) const;
  UpdateStatistics statistics(std::size_t head, std::size_t update) const;
  bool has_rows() const { return rows_ != Rows::none; }
  /// Keys, then values, of some tokens as floats: [count][kv_heads * size]. Throws std::logic_error if there are none.
  void read_rows(std::size_t first, std::size_t count, std::vector<float>& keys, std::vector<float>& values) const;

 private:
  std::span<const float> floats(std::size_t first, std::size_t count) const;
  const RecordedLayer* layer_;
  bool all_;
  Rows rows_;
  Layout layout_;
  std::span<const std::byte> bytes_;
};

/// One prompt. The settings it was recorded with must outlive it.
struct PromptRecord {
  PromptFacts facts;
  std::vector<LayerRecord> layers;          ///< as Settings::layers
  std::shared_ptr<const void> memory = {};  ///< keeps the bytes alive
};

/// The same without keys and values; `settings` are those it was recorded with but for Rows::none, and must outlive the result.
PromptRecord without_rows(const PromptRecord& record, const Settings& settings);

}  // namespace namm::trace
