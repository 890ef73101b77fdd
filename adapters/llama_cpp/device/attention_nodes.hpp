#pragma once
#include <cstddef>
#include <functional>
#include <vector>

#include "adapters/llama_cpp/device/layer_nodes.hpp"

namespace namm::llama {

/// Probabilities of so many bytes are held at once; changed by tests.
inline std::size_t attention_tile_bytes = std::size_t{64} << 20;

/// Queries whose probabilities are held at once; 1 or more.
std::int64_t attention_tile(std::int64_t queries, std::int64_t slots, std::int64_t query_heads);

/// The spectrogram of the queries of one sequence, hop after hop of 16. What comes out: F32 [17, S, K], for each slot the sum
/// over the frames of hops 1 .. of their weight and magnitude; of sums over the query heads of a group.
struct FrameTensors {
  std::int64_t hops = 0;             ///< 2 or more
  std::int64_t tile = 0;             ///< hops at once
  ggml_tensor* query_ids = nullptr;  ///< I32 [16 * hops, H]
  ggml_tensor* mask_ids = nullptr;   ///< I32 [16 * hops, 1, M]
  ggml_tensor* weights = nullptr;    ///< F32 [apart, tiles], of the frames of each tile: see spectrogram_nodes.hpp
  ggml_tensor* frames = nullptr;     ///< the result
};

/// What attention is computed once more of, for the statistics of policies. T queries, H query heads, K KV heads, S slots, M
/// heads with a mask of their own.
struct AttentionTensors {
  const ggml_tensor* attention = nullptr;  ///< the runtime's node: queries F32 [size, T, H], parameters, sinks
  const ggml_tensor* keys = nullptr;       ///< [size, capacity, K]
  ggml_tensor* mask = nullptr;             ///< F16 [S, T, 1, M]
  ggml_tensor* sinks = nullptr;            ///< sinks_apart()
  std::int64_t slots = 0;                  ///< S
  std::int64_t tile = 0;                   ///< queries at once, for sums
  ggml_tensor* sums = nullptr;             ///< F32 [S, K]: sums over all queries and the query heads of a group; null: not wanted
  ggml_tensor* rows = nullptr;             ///< F32 [S, n, K]: the same of n queries, each by itself; null: not wanted
  ggml_tensor* query_ids = nullptr;        ///< I32 [n, H]: which queries rows are of; null: of all of them
  ggml_tensor* mask_ids = nullptr;         ///< I32 [n, 1, M]: the same
  ggml_tensor* basis = nullptr;            ///< F32 [16, 68]: spectrogram_basis()
  std::vector<FrameTensors> frames{};      ///< of each sequence that has some
};

/// Makes the nodes, in order: products of queries and keys, softmax, sums. `place` as for make_nodes().
std::vector<ggml_tensor*> make_attention_nodes(ggml_context* context, const AttentionTensors& in,
                                               const std::function<void(ggml_tensor*, Room)>& place);
/// Tensors that are made at most.
std::size_t attention_tensors(const ggml_tensor* attention, std::int64_t queries, std::int64_t tile);

}  // namespace namm::llama
