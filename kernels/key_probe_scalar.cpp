#include <cmath>

#include "kernels/key_probe.hpp"

namespace namm::kernels::scalar {

void probe_rows(const TokenRows& rows, const float* weights, std::size_t weight_stride, int heads, float* scores,
                std::size_t score_stride) {
  constexpr std::size_t kChains = 16;
  for (std::size_t token = 0; token < rows.count; ++token) {
    const float* const row = rows.data + token * rows.stride;
    for (std::size_t h = 0; h < static_cast<std::size_t>(heads); ++h) {
      float chains[kChains] = {};
      for (std::size_t i = 0; i < rows.numbers; ++i)
        chains[i % kChains] = std::fma(row[i], weights[h * weight_stride + i], chains[i % kChains]);
      for (std::size_t n = kChains / 2; n > 0; n /= 2)
        for (std::size_t i = 0; i < n; ++i) chains[i] += chains[i + n];
      scores[h * score_stride + token] += chains[0];
    }
  }
}

}  // namespace namm::kernels::scalar
