#pragma once
#include <map>
#include <vector>

#include "calibrate/prompt_scores.hpp"
#include "calibrate/recorder.hpp"
#include "namm/observer.hpp"

namespace namm::calibrate {

/// The largest attention that the queries at some positions pay each of the first `context_tokens` tokens, over these queries
/// *and* over the query heads of a KV head's group: the score of KVzip (arXiv 2505.23416, equation 2). Probabilities are over
/// all tokens before the query. Recorder has the mean over the group instead. For one sequence, of which nothing may be evicted;
/// models whose attention has sinks or a cap of its logits are not told apart from those without.
class LargestAttention final : public Observer {
 public:
  LargestAttention(std::int32_t context_tokens, PositionRange queries) : context_tokens_(context_tokens), range_(queries) {}

  /// By index of the layer: [kv_head][token], probabilities.
  std::map<int, PromptScores::ByHead> largest() const;

  std::string_view name() const override { return "largest-attention"; }
  bool wants_tokens() const override { return true; }
  bool wants_queries() const override { return true; }
  void on_tokens(const LayerTokens& tokens) override;
  void on_queries(const LayerQueries& queries) override;

 private:
  struct Layer {
    std::size_t kv_heads = 0, heads = 0, key_size = 0;
    float scale = 1;
    std::vector<float> keys, queries;  // rotated: [token][kv_heads * key_size], [query][heads * key_size]
    std::vector<std::int32_t> key_positions, query_positions;
  };
  PromptScores::ByHead largest_of(const Layer& layer) const;

  std::int32_t context_tokens_;
  PositionRange range_;
  std::map<int, Layer> layers_;  // a layer is read by one thread at a time
};

}  // namespace namm::calibrate
