#pragma once
// A key probe as one lane of a warp computes its share of a token: pairs of numbers 64 apart.
#include "kernels/host_device.hpp"
#include "kernels/key_probe.hpp"

namespace namm::kernels {

inline constexpr int kProbeHeads = 8;  ///< heads that share what a lane has loaded

/// Numbers i, i + 1 of a row, i even. Rows of f32 are aligned to 8 bytes, of f16 and bf16 to 4, of q8_0 to 2.
NAMM_HOST_DEVICE inline Pair probe_pair(const std::byte* row, RowType type, std::size_t i) {
  if (type == RowType::f32) {
    const auto* const from = reinterpret_cast<const float*>(row) + i;
#ifdef __CUDA_ARCH__
    const float2 pair = *reinterpret_cast<const float2*>(from);
    return {pair.x, pair.y};
#else
    return {from[0], from[1]};
#endif
  }
  if (type == RowType::f16) return load_halves(reinterpret_cast<const std::uint16_t*>(row) + i);
  if (type == RowType::bf16) {
    std::uint32_t both;
#ifdef __CUDA_ARCH__
    both = *reinterpret_cast<const std::uint32_t*>(row + 2 * i);
#else
    std::memcpy(&both, row + 2 * i, sizeof both);
#endif
    const std::uint32_t low = both << 16, high = both & 0xffff0000u;
    Pair out;
    memcpy(&out.first, &low, sizeof low);
    memcpy(&out.second, &high, sizeof high);
    return out;
  }
  const std::byte* const block = row + i / 32 * 34;
  const float scale = to_float(*reinterpret_cast<const std::uint16_t*>(block));
  const auto* const quanta = reinterpret_cast<const signed char*>(block + 2 + i % 32);
  return {scale * static_cast<float>(quanta[0]), scale * static_cast<float>(quanta[1])};
}

/// The lane's share of the dot products of one token with up to kProbeHeads heads; numbers is even.
NAMM_HOST_DEVICE inline void probe_lane(const TokenRows& rows, std::size_t token, int lane, const float* weights,
                                        std::size_t weight_stride, int heads, float (&sums)[kProbeHeads]) {
  const std::byte* const row = static_cast<const std::byte*>(rows.data) + token * rows.stride_bytes;
  NAMM_UNROLL
  for (int h = 0; h < kProbeHeads; ++h) sums[h] = 0;
  for (std::size_t i = 2 * static_cast<std::size_t>(lane); i < rows.numbers; i += 2 * kWarp) {
    const Pair x = probe_pair(row, rows.type, i);
    NAMM_UNROLL
    for (int h = 0; h < kProbeHeads; ++h) {
      if (h >= heads) continue;
      const float* const w = weights + static_cast<std::size_t>(h) * weight_stride + i;
      sums[h] += x.first * w[0] + x.second * w[1];
    }
  }
}

}  // namespace namm::kernels
