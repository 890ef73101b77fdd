#pragma once
#include <cstddef>

namespace namm::kernels {

/// Keys (or values) of tokens where they lie: token i begins `stride * i` numbers behind `data`.
struct TokenRows {
  const float* data = nullptr;
  std::size_t stride = 0;
  std::size_t count = 0;
  std::size_t numbers = 0;  ///< per token
};

/// Linear read-outs of the same tokens, one per KV head: scores[h * score_stride + i] += weights[h * weight_stride] . token i.
/// Every token is read once for all heads. Sums run in 16 interleaved chains, so all instruction sets with fused multiply-adds
/// and the scalar twin give the same bits.
void probe_rows(const TokenRows& rows, const float* weights, std::size_t weight_stride, int heads, float* scores,
                std::size_t score_stride);

namespace scalar {
void probe_rows(const TokenRows& rows, const float* weights, std::size_t weight_stride, int heads, float* scores,
                std::size_t score_stride);
}  // namespace scalar

}  // namespace namm::kernels
