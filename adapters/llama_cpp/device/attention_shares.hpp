#pragma once
#include <cstdint>
#include <functional>
#include <vector>

#include "adapters/llama_cpp/device/attention_nodes.hpp"
#include "adapters/llama_cpp/device/placed_nodes.hpp"

namespace namm::llama {

/// Probabilities of attention, computed once more: what nodes for statistics begin with.
class AttentionShares : public PlacedNodes {
 public:
  AttentionShares(ggml_context* context, const AttentionTensors& in, std::vector<ggml_tensor*>& nodes,
                  const std::function<void(ggml_tensor*, Room)>& place);

 protected:
  std::int64_t queries() const { return in_.attention->src[0]->ne[1] * in_.attention->src[0]->ne[3]; }
  /// Of these queries [size, t, H] under their mask [S, t, 1, M]: [S, t, H / K, K].
  ggml_tensor* probabilities(ggml_tensor* queries, ggml_tensor* mask);
  /// The same of queries with these numbers, I32 [n, H] and [n, 1, M].
  ggml_tensor* probabilities_of(ggml_tensor* query_ids, ggml_tensor* mask_ids);
  /// A node whose result is where `result` is.
  ggml_tensor* into(ggml_tensor* node, const ggml_tensor* result);
  /// Probabilities with the query heads of a group along dimension 0, for sums over them: [H / K, S, t, K].
  ggml_tensor* by_slot(ggml_tensor* probabilities);

  const AttentionTensors& in_;
  std::int64_t query_heads_, kv_heads_, group_;

 private:
  ggml_tensor* head_of(ggml_tensor* all, std::int64_t h);
};

}  // namespace namm::llama
