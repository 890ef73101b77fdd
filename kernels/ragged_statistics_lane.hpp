#pragma once
// Statistics of one hop as a lane of the second sweep computes them for its two entries of a block.
#include "kernels/ragged_attention_cuda.hpp"
#include "kernels/ragged_attention_warp.hpp"
#include "kernels/spectrogram_token.hpp"

namespace namm::kernels {

inline constexpr int kHopQueries = 16;

/// Adds the probabilities of four rows to the group's means, mean [kHopQueries][64]; a lane writes its own two columns only.
NAMM_HOST_DEVICE inline void lane_add_means(const WarpRows& in, int first_query, int lane, const float (&logits)[kWarpRows][2],
                                            const float* log_sums, float* mean) {
  for (int r = 0; r < kWarpRows && in.first_row + r < in.row_count; ++r) {
    const int row = in.first_row + r, query = row / in.group - first_query;
    if (query < 0 || query >= kHopQueries) continue;
    float* const column = mean + static_cast<std::size_t>(query) * kBlock + 2 * static_cast<std::size_t>(lane);
    const float log_sum = log_sums[row], share = 1.0f / static_cast<float>(in.group);
    NAMM_UNROLL
    for (int j = 0; j < 2; ++j)
      if (logits[r][j] != kHidden) column[j] += expf(logits[r][j] - log_sum) * share;
  }
}

/// Takes one entry's means into its statistics. mean: [kHopQueries][64] from the entry's column on.
NAMM_HOST_DEVICE inline void take_entry(const HopStatistics& out, std::size_t entry, const float* mean, int hop_queries,
                                        const float* table, float decay) {
  if (out.accumulated) {
    float sum = out.accumulated[entry];
    for (int q = 0; q < hop_queries; ++q) sum += mean[static_cast<std::size_t>(q) * kBlock];
    out.accumulated[entry] = sum;
  }
  if (out.last_row) out.last_row[entry] = mean[static_cast<std::size_t>(hop_queries - 1) * kBlock];
  if (!out.ema || hop_queries != kHopQueries) return;
  float signal[kFrame];
  NAMM_UNROLL
  for (int m = 0; m < kHopQueries; ++m) {
    float& left = out.left[static_cast<std::size_t>(m) * out.left_stride + entry];
    signal[m] = left;
    signal[kHopQueries + m] = left = mean[static_cast<std::size_t>(m) * kBlock];
  }
  spectrogram_token(signal, out.ema + entry * kFrequencies, decay, table);
}

}  // namespace namm::kernels
