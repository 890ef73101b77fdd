#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <vector>

#include "kernels/bam_parts.hpp"

namespace namm::kernels::scalar {
namespace {

float exp_negative(float x) {
  if (!(x >= kBamLowest)) return 0.0f;
  const float shifted = std::fma(x, kBamLog2e, kBamShift);
  const float n = shifted - kBamShift;
  const float r = std::fma(-n, kBamLn2Low, std::fma(-n, kBamLn2High, x));
  float p = kBamExp[0];
  for (std::size_t i = 1; i < 6; ++i) p = std::fma(p, r, kBamExp[i]);
  p = std::fma(p, r * r, r) + 1.0f;
  return std::bit_cast<float>(std::bit_cast<std::uint32_t>(p) + (std::bit_cast<std::uint32_t>(shifted) << 23));
}

struct Projected {
  std::vector<float> queries, keys, values;  // [token][32]
};

Projected project(const float* features, std::size_t tokens, std::size_t width, const BamWeights& weights) {
  Projected out;
  for (std::vector<float>* part : {&out.queries, &out.keys, &out.values}) part->resize(tokens * kBamHead);
  const float scale = 1.0f / std::sqrt(static_cast<float>(kBamHead));
  for (std::size_t token = 0; token < tokens; ++token)
    for (std::size_t o = 0; o < 3 * kBamHead; ++o) {
      float sum = weights.qkv_bias[o];
      for (std::size_t i = 0; i < width; ++i) sum = std::fma(features[token * width + i], weights.qkv[i * 3 * kBamHead + o], sum);
      std::vector<float>& part = o < kBamHead ? out.queries : o < 2 * kBamHead ? out.keys : out.values;
      part[token * kBamHead + o % kBamHead] = o < kBamHead ? sum * scale : sum;
    }
  return out;
}

/// What `query` attends to: itself and newer tokens, tile by tile.
void attend(const Projected& in, std::size_t tokens, std::size_t query, float* output) {
  float maximum = -1e30f, sum = 0;
  std::fill_n(output, kBamHead, 0.0f);
  for (std::size_t tile = query / kBamTile * kBamTile; tile < tokens; tile += kBamTile) {
    const std::size_t first = std::max(tile, query), end = std::min(tile + kBamTile, tokens);
    float weights[kBamTile], largest = maximum;
    for (std::size_t j = first; j < end; ++j) {
      float dot = 0;
      for (std::size_t d = 0; d < kBamHead; ++d) dot = std::fma(in.queries[query * kBamHead + d], in.keys[j * kBamHead + d], dot);
      weights[j - tile] = dot;
      largest = std::max(largest, dot);
    }
    if (largest > maximum) {
      const float rescale = exp_negative(maximum - largest);
      sum *= rescale;
      for (std::size_t d = 0; d < kBamHead; ++d) output[d] *= rescale;
      maximum = largest;
    }
    float lanes[kBamLanes] = {};
    for (std::size_t j = first; j < end; ++j) {
      weights[j - tile] = exp_negative(weights[j - tile] - maximum);
      lanes[(j - tile) % kBamLanes] += weights[j - tile];
      for (std::size_t d = 0; d < kBamHead; ++d) output[d] = std::fma(weights[j - tile], in.values[j * kBamHead + d], output[d]);
    }
    for (const float lane : lanes) sum += lane;
  }
  const float inverse = sum > 0.0f ? 1.0f / sum : 0.0f;
  for (std::size_t d = 0; d < kBamHead; ++d) output[d] *= inverse;
}

/// s = (F * (1 + mul) + res) w + b with [res, mul] = o W_o + b_o.
float read_out(const float* feature, std::size_t width, const float* output, const BamWeights& weights) {
  float lanes[kBamLanes] = {};
  for (std::size_t i = 0; i < width; ++i) {
    float residual = weights.out_bias[i], multiplier = weights.out_bias[width + i];
    for (std::size_t d = 0; d < kBamHead; ++d) {
      residual = std::fma(output[d], weights.out[d * 2 * width + i], residual);
      multiplier = std::fma(output[d], weights.out[d * 2 * width + width + i], multiplier);
    }
    float& lane = lanes[i % kBamLanes];
    lane = std::fma(std::fma(feature[i], 1.0f + multiplier, residual), weights.score[i], lane);
  }
  float score = weights.score_bias;
  for (const float lane : lanes) score += lane;
  return score;
}

}  // namespace

void bam_scores(const float* features, std::size_t tokens, std::size_t width, const float* parameters, float* scores) {
  const BamWeights weights(parameters, width);
  const Projected in = project(features, tokens, width, weights);
  float output[kBamHead];
  for (std::size_t query = 0; query < tokens; ++query) {
    attend(in, tokens, query, output);
    scores[query] = read_out(features + query * width, width, output, weights);
  }
}

}  // namespace namm::kernels::scalar
