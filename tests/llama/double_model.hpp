#pragma once
#include "tests/support/tiny_model.hpp"

namespace namm::test {

/// The logits of a tiny `llama` model after each token, all in double; keys and values rounded to F16 as a cache holds them.
/// Written from the architecture's description: RMS norm, rotary embedding of neighbouring pairs (base 10,000), SwiGLU.
std::vector<std::vector<float>> double_logits(const TinyShape& shape, const TinyWeights& weights,
                                              const std::vector<std::int32_t>& tokens);

}  // namespace namm::test
