#pragma once
#include <map>
#include <span>
#include <vector>

#include "calibrate/evenness.hpp"
#include "core/probe/token_probe.hpp"
#include "namm/observer.hpp"

namespace namm::calibrate {

/// A range of positions, [begin, end).
struct PositionRange {
  std::int32_t begin = 0, end = 0;
};

/// Remembers, of the first `context_tokens` tokens of a sequence, what a probe reads, how large their values are, and the largest
/// attention (mean over the query heads of a group) that the queries at some positions paid them; and how evenly these queries
/// attended. For one sequence, of which nothing may be evicted.
class Recorder final : public Observer {
 public:
  /// A query's attention to itself and to the words just before it says nothing about what is worth keeping: it counts for tokens
  /// that are more than so many positions before the query.
  static constexpr std::int32_t kNear = 16;
  /// Tokens at the beginning that take what a head has to leave somewhere: whether it attends evenly is asked of those behind.
  static constexpr std::size_t kSinks = 4;
  /// Evenness is measured on each so many-th of the queries that count; entropies take time.
  static constexpr std::size_t kEvery = 8;

  Recorder(ProbeInput input, std::int32_t context_tokens, std::vector<PositionRange> queries);

  struct Layer {
    int kv_heads = 0;
    std::size_t key_size = 0, value_size = 0;
    std::vector<float> inputs;                  ///< [token][width]: keys of all heads, behind them the values if `layer` is read
    std::vector<std::vector<float>> attention;  ///< [kv_head][token]
    /// [kv_head][token]: ln of the Euclidean norm of the token's value, at least -14.
    std::vector<std::vector<float>> value_log_norms;
    std::size_t width = 0;
    std::vector<Evenness> evenness;    ///< [kv_head]
    std::vector<std::size_t> queries;  ///< [kv_head]: how many had enough tokens for it
  };
  /// By index in the model.
  const std::map<int, Layer>& layers() const { return layers_; }
  std::size_t context_tokens() const { return static_cast<std::size_t>(context_tokens_); }

  std::string_view name() const override { return "recorder"; }
  bool wants_tokens() const override { return true; }
  bool wants_attention() const override { return true; }
  void on_tokens(const LayerTokens& tokens) override;
  void on_attention(const AttentionRows& rows) override;
  /// What on_attention() makes of rows, where somebody else has seen them: the largest attention to each token of the context,
  /// and the evenness of the head.
  void add(int layer, int kv_head, std::span<const float> largest, const Evenness& evenness);

 private:
  ProbeInput input_;
  std::int32_t context_tokens_;
  std::vector<PositionRange> queries_;
  // A layer is read before its heads are observed, and heads have vectors of their own: threads do not meet.
  std::map<int, Layer> layers_;
};

}  // namespace namm::calibrate
