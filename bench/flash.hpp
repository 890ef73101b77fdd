#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace namm::bench {

/// Shapes of the attention of one layer; all layers are alike.
struct AttentionShape {
  int layers = 1;
  int query_heads = 9, kv_heads = 3;
  std::size_t head_size = 64;
  int queries = 1;
  int cells = 0;  ///< tokens in the runtime's cache, the queries' own included; causal
};

/// Inputs that both sides of the comparison get.
struct AttentionInputs {
  AttentionShape shape;
  std::vector<std::vector<std::uint16_t>> keys, values;  ///< F16, per layer [cell][kv_head][head_size]
  std::vector<float> queries;                            ///< [query][query_head][head_size]
  explicit AttentionInputs(const AttentionShape& shape);
};

/// llama.cpp's own flash attention on the CPU, over a cache laid out as llama.cpp lays it out: one graph with one node per layer.
class FlashAttention {
 public:
  FlashAttention(const AttentionInputs& inputs, int threads);
  ~FlashAttention();
  FlashAttention(const FlashAttention&) = delete;
  FlashAttention& operator=(const FlashAttention&) = delete;
  void run();
  /// Output of the last layer, [query][query_head][head_size].
  const float* output() const;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace namm::bench
