#pragma once
#include <cstdint>
#include <functional>
#include <span>

struct ggml_tensor;

namespace namm::llama {

/// Rows of one KV head: [rows][cells.size()], probabilities averaged over the query heads of the group.
struct HeadRows {
  int kv_head = 0;
  int first_row = 0;  ///< query of the batch
  int rows = 0;
  std::span<const float> attention;
};

/// Reads the probabilities that a softmax node gave, [cell, query, query head], wherever its backend keeps them, and hands them
/// out head by head in the order of `cells`; queries of a head in order. `visit` is called from several threads, for different
/// heads.
void read_attention(const ggml_tensor* soft_max, int kv_heads, std::span<const std::int32_t> cells, int threads,
                    const std::function<void(const HeadRows&)>& visit);

}  // namespace namm::llama
