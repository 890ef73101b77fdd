#pragma once
// Ragged attention as a warp computes it: four rows (queries times query heads) over blocks of 64 entries, two entries or two
// value numbers per lane. What goes from lane to lane (largest logit, sum) is left to the caller: shuffles on the device, a loop
// over lanes in tests.
//
//   keys    [block][key_size][64]    lane l reads entries 2l, 2l+1 of a block: 128 bytes per warp and number
//   values  [entry][value_size]      lane l reads numbers 64p + 2l, + 1 of an entry: 128 bytes per warp and pair p
#include "kernels/host_device.hpp"
#include "kernels/ragged_attention.hpp"

namespace namm::kernels {

inline constexpr int kWarpRows = 4;
inline constexpr float kHidden = -INFINITY;

/// Rows of queries of one (KV head, batch), row = query * group + query head, already scaled.
struct WarpRows {
  const float* rows = nullptr;  ///< [rows][key_size]
  int first_row = 0;            ///< of the warp's four
  int row_count = 0;            ///< of all
  int group = 1;
  float softcap = 0;
};

NAMM_HOST_DEVICE inline bool sees(const RaggedHead& head, std::size_t entry, int query) {
  if (entry >= head.count) return false;
  if (head.dense) {
    const std::size_t columns = (head.count + kBlock - 1) / kBlock * kBlock;
    return head.dense[static_cast<std::size_t>(query) * columns + entry] != 0;
  }
  return head.first[entry] <= query && query <= head.last[entry];
}

/// Logits of the warp's rows with the lane's two entries of a block; hidden ones are -inf.
NAMM_HOST_DEVICE inline void lane_logits(const RaggedHead& head, const WarpRows& in, std::size_t block, int lane,
                                         float (&logits)[kWarpRows][2]) {
  NAMM_UNROLL
  for (int r = 0; r < kWarpRows; ++r) logits[r][0] = logits[r][1] = 0;
  const std::uint16_t* key = head.keys + block * head.key_size * kBlock + 2 * static_cast<std::size_t>(lane);
  const float* const rows = in.rows + static_cast<std::size_t>(in.first_row) * head.key_size;
  const int present = in.row_count - in.first_row < kWarpRows ? in.row_count - in.first_row : kWarpRows;
  for (std::size_t d = 0; d < head.key_size; ++d, key += kBlock) {
    const Pair k = load_halves(key);
    NAMM_UNROLL
    for (int r = 0; r < kWarpRows; ++r) {
      const float q = r < present ? rows[static_cast<std::size_t>(r) * head.key_size + d] : 0.0f;
      logits[r][0] += q * k.first;
      logits[r][1] += q * k.second;
    }
  }
  NAMM_UNROLL
  for (int r = 0; r < kWarpRows; ++r) {
    NAMM_UNROLL
    for (int j = 0; j < 2; ++j) {
      if (in.softcap > 0) logits[r][j] = in.softcap * tanhf(logits[r][j] / in.softcap);
      const std::size_t entry = block * kBlock + 2 * static_cast<std::size_t>(lane) + static_cast<std::size_t>(j);
      if (r >= present || !sees(head, entry, (in.first_row + r) / in.group)) logits[r][j] = kHidden;
    }
  }
}

/// exp(logit - maximum), 0 for what is hidden and for a row that has seen nothing yet.
NAMM_HOST_DEVICE inline float weight_of(float logit, float maximum) {
  return logit == kHidden ? 0.0f : expf(logit - maximum);
}

/// The factor that brings what was summed under the old maximum under the new one.
NAMM_HOST_DEVICE inline float rescale_of(float old_maximum, float maximum) {
  return old_maximum == kHidden ? 0.0f : expf(old_maximum - maximum);
}

/// output[r][2p + j] += sum over the block's entries of weights[r][entry] * value; value_size is even and at most 64 * kPairs.
template <int kPairs>
NAMM_HOST_DEVICE inline void lane_values(const RaggedHead& head, std::size_t block, int lane, const float* weights,
                                         float (&output)[kWarpRows][2 * kPairs]) {
  const std::size_t begin = block * kBlock;
  const std::size_t entries = head.count - begin < kBlock ? head.count - begin : kBlock;
  const std::uint16_t* value = head.values + begin * head.value_size + 2 * static_cast<std::size_t>(lane);
  for (std::size_t e = 0; e < entries; ++e, value += head.value_size) {
    NAMM_UNROLL
    for (int p = 0; p < kPairs; ++p) {
      if (static_cast<std::size_t>(64 * p + 2 * lane) >= head.value_size) continue;
      const Pair v = load_halves(value + 64 * p);
      NAMM_UNROLL
      for (int r = 0; r < kWarpRows; ++r) {
        output[r][2 * p] += weights[static_cast<std::size_t>(r) * kBlock + e] * v.first;
        output[r][2 * p + 1] += weights[static_cast<std::size_t>(r) * kBlock + e] * v.second;
      }
    }
  }
}

/// ln(sum of exp(logit)) of a row from its parts, the sink's logit among them if it is not -inf; -inf if the row sees nothing.
NAMM_HOST_DEVICE inline float log_sum(const float* maximum, const float* sum, int parts, std::size_t stride, float sink) {
  float largest = sink;
  for (int p = 0; p < parts; ++p) largest = fmaxf(largest, maximum[static_cast<std::size_t>(p) * stride]);
  if (largest == kHidden) return kHidden;
  float total = sink == kHidden ? 0.0f : expf(sink - largest);
  for (int p = 0; p < parts; ++p)
    total += sum[static_cast<std::size_t>(p) * stride] * rescale_of(maximum[static_cast<std::size_t>(p) * stride], largest);
  return largest + logf(total);
}

}  // namespace namm::kernels
