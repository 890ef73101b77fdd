#pragma once
// BAM as one thread computes it for one token; shared by the CUDA kernel and its test on the host.
#include "kernels/bam_parts.hpp"
#include "kernels/host_device.hpp"

namespace namm::kernels {

inline constexpr int kBamWidth = 32;      ///< of query, key and value
inline constexpr int kBamKeysAtOnce = 4;  ///< keys between two looks at the maximum

/// What a query has gathered so far.
struct BamQuery {
  float query[kBamWidth], output[kBamWidth];
  float maximum, sum;
};

/// Output o (0..95: query, key, value) of a token's projection.
NAMM_HOST_DEVICE inline float bam_project(const float* feature, std::size_t width, const BamWeights& weights, int o) {
  float sum = weights.qkv_bias[o];
  for (std::size_t i = 0; i < width; ++i) sum += feature[i] * weights.qkv[i * 3 * kBamWidth + static_cast<std::size_t>(o)];
  return o < kBamWidth ? sum * 0.17677669529663687f : sum;  // 1 / sqrt(32)
}

NAMM_HOST_DEVICE inline void bam_start(BamQuery& q, const float* query) {
  NAMM_UNROLL
  for (int d = 0; d < kBamWidth; ++d) {
    q.query[d] = query[d];
    q.output[d] = 0;
  }
  q.maximum = -1e30f;
  q.sum = 0;
}

/// Takes keys [first, count) of a tile, keys and values [key][32]: all threads of a block read the same key at the same time.
NAMM_HOST_DEVICE inline void bam_attend(BamQuery& q, const float* keys, const float* values, int first, int count) {
  for (int begin = 0; begin < count; begin += kBamKeysAtOnce) {
    if (begin + kBamKeysAtOnce <= first) continue;
    float logits[kBamKeysAtOnce], largest = q.maximum;
    NAMM_UNROLL
    for (int j = 0; j < kBamKeysAtOnce; ++j) {
      const int key = begin + j;
      logits[j] = -INFINITY;
      if (key < first || key >= count) continue;
      float dot = 0;
      NAMM_UNROLL
      for (int d = 0; d < kBamWidth; ++d) dot += q.query[d] * keys[key * kBamWidth + d];
      logits[j] = dot;
      largest = fmaxf(largest, dot);
    }
    const float rescale = expf(q.maximum - largest);
    q.maximum = largest;
    q.sum *= rescale;
    NAMM_UNROLL
    for (int d = 0; d < kBamWidth; ++d) q.output[d] *= rescale;
    NAMM_UNROLL
    for (int j = 0; j < kBamKeysAtOnce; ++j) {
      const int key = begin + j;
      if (key < first || key >= count) continue;
      const float weight = expf(logits[j] - largest);
      q.sum += weight;
      NAMM_UNROLL
      for (int d = 0; d < kBamWidth; ++d) q.output[d] += weight * values[key * kBamWidth + d];
    }
  }
}

/// s = (F * (1 + mul) + res) w + b with [res, mul] = o W_o + b_o.
NAMM_HOST_DEVICE inline float bam_read_out(const BamQuery& q, const float* feature, std::size_t width,
                                           const BamWeights& weights) {
  const float inverse = q.sum > 0 ? 1.0f / q.sum : 0.0f;
  float score = weights.score_bias;
  for (std::size_t i = 0; i < width; ++i) {
    float residual = weights.out_bias[i], multiplier = weights.out_bias[width + i];
    NAMM_UNROLL
    for (int d = 0; d < kBamWidth; ++d) {
      const float value = q.output[d] * inverse;
      residual += value * weights.out[static_cast<std::size_t>(d) * 2 * width + i];
      multiplier += value * weights.out[static_cast<std::size_t>(d) * 2 * width + width + i];
    }
    score += (feature[i] * (1.0f + multiplier) + residual) * weights.score[i];
  }
  return score;
}

}  // namespace namm::kernels
