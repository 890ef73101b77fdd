#pragma once
#include <memory>
#include <vector>

#include "namm/observer.hpp"
#include "trace/record.hpp"

namespace namm::trace {

/// Records what policies read at every update of the compressed tokens, their keys and values, and the attention that they
/// receive from the tail. For one sequence, of which nothing may be evicted. Heads and layers have memory of their own: a host's
/// threads do not meet.
class Recorder final : public Observer {
 public:
  /// The settings must outlive what is recorded.
  Recorder(const Settings& settings, PromptFacts facts);
  /// After the tail was evaluated. Throws std::runtime_error if the host did not show every update of every layer.
  PromptRecord finish();

  std::string_view name() const override { return "trace-recorder"; }
  /// What content is read from is recorded in its place.
  StatisticSet required() const override { return settings_.statistics().without(Statistic::content); }
  bool wants_tokens() const override { return settings_.rows != Rows::none; }
  bool wants_attention() const override { return true; }
  void on_tokens(const LayerTokens& tokens) override;
  void on_attention(const AttentionRows& rows) override;
  void on_update(const HeadTokens& tokens) override;

 private:
  struct Head {
    std::size_t updates = 0;  ///< seen so far
  };
  struct Layer {
    Layout layout;
    std::vector<std::byte> bytes;
    std::vector<Head> heads;
    std::size_t rows = 0;  ///< tokens whose keys and values are there
    float* floats() { return reinterpret_cast<float*>(bytes.data()); }
  };
  /// The recorded layer and its number; null if there is none.
  Layer* find(int layer, std::size_t& number);
  /// Number among the recorded heads, or npos.
  std::size_t head_number(std::size_t layer_number, int kv_head) const;

  const Settings& settings_;
  PromptFacts facts_;
  std::vector<Layer> layers_;
};

}  // namespace namm::trace
