#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "adapters/llama_cpp/device/attention_nodes.hpp"

namespace namm::llama {

/// What the 16 numbers of a hop are multiplied with, [68][16]: cosines and sines (17 each, times the window) of the first half of
/// a frame, then those of the second. A frame is the first half of one hop and the second half of the next.
const std::vector<float>& spectrogram_basis();

/// Hops that are worked on at once; 1 or more.
std::int64_t spectrogram_tile(std::int64_t hops, std::int64_t slots, std::int64_t query_heads, std::int64_t kv_heads);
/// Numbers between the weights of one tile and those of the next.
std::int64_t weights_apart(std::int64_t tile);
/// The weights, [tiles][weights_apart(tile)]: those of a frame that is followed by n others is (1 - decay) decay^n.
std::vector<float> spectrogram_weights(std::int64_t hops, std::int64_t tile, double decay);

/// Makes the nodes of in.frames, in order, behind `nodes`.
void make_spectrogram_nodes(ggml_context* context, const AttentionTensors& in, std::vector<ggml_tensor*>& nodes,
                            const std::function<void(ggml_tensor*, Room)>& place);
/// Tensors that are made at most for one sequence.
std::size_t spectrogram_tensors(const ggml_tensor* attention, std::int64_t hops, std::int64_t tile);

}  // namespace namm::llama
