#include "kernels/bam.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <vector>

#include "kernels/clones.hpp"

namespace namm::kernels {
namespace {

constexpr std::size_t kHead = 32;    // width of query, key and value
constexpr std::size_t kTile = 64;    // keys that are looked at together; the token arrays are padded to whole tiles
constexpr std::size_t kQueries = 4;  // queries that share the loads of a tile
constexpr std::size_t kLanes = 16;

// Vectors of the compiler (GCC and Clang), which it splits into what the machine has: loops over arrays are not kept in
// registers. Every lane computes the same on every machine, so scores do not depend on it.
using Floats [[gnu::vector_size(kLanes * sizeof(float))]] = float;
using Ints [[gnu::vector_size(kLanes * sizeof(std::int32_t))]] = std::int32_t;
/// Floats that stand anywhere in an array.
using Memory [[gnu::vector_size(kLanes * sizeof(float)), gnu::aligned(4), gnu::may_alias]] = float;

[[gnu::always_inline]] inline const Memory& load(const float* from) {
  return *reinterpret_cast<const Memory*>(from);
}
[[gnu::always_inline]] inline Memory& at(float* to) {
  return *reinterpret_cast<Memory*>(to);
}

/// x = exp(x) for x <= 0, relative error below 2e-7; below exp(-87) it stays there. Cody-Waite reduction and the polynomial of
/// Cephes expf: unlike std::exp it vectorises and gives the same bits everywhere. V, I: float and std::int32_t or vectors of
/// them.
template <typename V, typename I>
[[gnu::always_inline]] inline void exp_negative(V& x) {
  x = x < -87.0f ? V{} - 87.0f : x;
  const V shifted = x * 1.44269504088896341f + 12582912.0f;  // rounds to the nearest integer in the low bits
  const V n = shifted - 12582912.0f;
  const V r = x - n * 0.693359375f + n * 2.12194440e-4f;
  V p = r * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.0f;
  I exponent;
  __builtin_memcpy(&exponent, &shifted, sizeof exponent);
  exponent = (exponent - std::bit_cast<std::int32_t>(12582912.0f) + 127) << 23;
  V power;
  __builtin_memcpy(&power, &exponent, sizeof power);
  x = p * power;
}

struct Projected {
  std::vector<float> queries;  // [token][32], already divided by sqrt(32)
  std::vector<float> keys;     // [tile][32][kTile]: a vector lane is a key
  std::vector<float> values;   // [token][32]
};

NAMM_CLONES void project(const float* features, std::size_t tokens, std::size_t width, const float* weights, const float* bias,
                         float* queries, float* keys, float* values) {
  const float scale = 1.0f / std::sqrt(static_cast<float>(kHead));
  for (std::size_t token = 0; token < tokens; ++token) {
    float qkv[3 * kHead];
    for (std::size_t o = 0; o < 3 * kHead; ++o) qkv[o] = bias[o];
    for (std::size_t i = 0; i < width; ++i) {
      const float feature = features[token * width + i];
      for (std::size_t o = 0; o < 3 * kHead; ++o) qkv[o] += feature * weights[i * 3 * kHead + o];
    }
    float* tile = keys + token / kTile * (kHead * kTile) + token % kTile;
    for (std::size_t d = 0; d < kHead; ++d) {
      queries[token * kHead + d] = qkv[d] * scale;
      tile[d * kTile] = qkv[kHead + d];
      values[token * kHead + d] = qkv[2 * kHead + d];
    }
  }
}

/// logits[q][j] = queries[q] . keys[j] over one tile.
[[gnu::always_inline]] inline void multiply_keys(const float* queries, const float* keys, float (&logits)[kQueries][kTile]) {
  static_assert(kQueries == 4);
  for (std::size_t j = 0; j < kTile; j += kLanes) {
    Floats sum0 = {}, sum1 = {}, sum2 = {}, sum3 = {};
    for (std::size_t d = 0; d < kHead; ++d) {
      const Floats key = load(keys + d * kTile + j);
      sum0 += queries[d] * key;
      sum1 += queries[kHead + d] * key;
      sum2 += queries[2 * kHead + d] * key;
      sum3 += queries[3 * kHead + d] * key;
    }
    at(logits[0] + j) = sum0;
    at(logits[1] + j) = sum1;
    at(logits[2] + j) = sum2;
    at(logits[3] + j) = sum3;
  }
}

/// output[q] += sum over j of weights[q][j] * values[j].
[[gnu::always_inline]] inline void add_values(const float (&weights)[kQueries][kTile], const float* values, std::size_t count,
                                              float* output) {
  for (std::size_t half = 0; half < kHead; half += kLanes) {
    Floats sum0 = load(output + half), sum1 = load(output + kHead + half);
    Floats sum2 = load(output + 2 * kHead + half), sum3 = load(output + 3 * kHead + half);
    for (std::size_t j = 0; j < count; ++j) {
      const Floats value = load(values + j * kHead + half);
      sum0 += weights[0][j] * value;
      sum1 += weights[1][j] * value;
      sum2 += weights[2][j] * value;
      sum3 += weights[3][j] * value;
    }
    at(output + half) = sum0;
    at(output + kHead + half) = sum1;
    at(output + 2 * kHead + half) = sum2;
    at(output + 3 * kHead + half) = sum3;
  }
}

/// One query's step of the online softmax: logits of a tile become weights, output and sum move to the new maximum.
/// Only keys [first, count) of the tile exist for the query.
[[gnu::always_inline]] inline void soften(float* logits, std::size_t first, std::size_t count, float& maximum, float& sum,
                                          float* output) {
  for (std::size_t j = 0; j < std::min(first, kTile); ++j) logits[j] = -INFINITY;
  for (std::size_t j = count; j < kTile; ++j) logits[j] = -INFINITY;
  Floats lanes = load(logits);
  for (std::size_t j = kLanes; j < kTile; j += kLanes) lanes = lanes < load(logits + j) ? load(logits + j) : lanes;
  float largest = maximum;
  for (std::size_t lane = 0; lane < kLanes; ++lane) largest = std::max(largest, lanes[lane]);
  Floats total = {};
  for (std::size_t j = 0; j < kTile; j += kLanes) {
    const Floats distance = load(logits + j) - largest;
    Floats weight = distance;
    exp_negative<Floats, Ints>(weight);
    weight = distance < -87.0f ? Floats{} : weight;  // masked keys weigh nothing
    total += weight;
    at(logits + j) = weight;
  }
  if (largest > maximum) {
    float rescale = maximum - largest;
    exp_negative<float, std::int32_t>(rescale);
    sum *= rescale;
    for (std::size_t d = 0; d < kHead; ++d) output[d] *= rescale;
    maximum = largest;
  }
  for (std::size_t lane = 0; lane < kLanes; ++lane) sum += total[lane];
}

/// Attention outputs of queries [begin, begin + kQueries) over themselves and newer tokens.
NAMM_CLONES void attend(const Projected& in, std::size_t tokens, std::size_t begin, float* output) {
  float maximum[kQueries], sum[kQueries];
  for (std::size_t q = 0; q < kQueries; ++q) {
    maximum[q] = -1e30f;
    sum[q] = 0.0f;
  }
  for (std::size_t i = 0; i < kQueries * kHead; ++i) output[i] = 0.0f;
  for (std::size_t tile = begin / kTile * kTile; tile < tokens; tile += kTile) {
    const std::size_t count = std::min(kTile, tokens - tile);
    float logits[kQueries][kTile];
    multiply_keys(in.queries.data() + begin * kHead, in.keys.data() + tile * kHead, logits);
    for (std::size_t q = 0; q < kQueries; ++q) {
      const std::size_t first = begin + q > tile ? begin + q - tile : 0;  // older keys
      soften(logits[q], first, count, maximum[q], sum[q], output + q * kHead);
    }
    add_values(logits, in.values.data() + tile * kHead, count, output);
  }
  for (std::size_t q = 0; q < kQueries; ++q) {
    const float inverse = sum[q] > 0.0f ? 1.0f / sum[q] : 0.0f;
    for (std::size_t d = 0; d < kHead; ++d) output[q * kHead + d] *= inverse;
  }
}

/// s = (F * (1 + mul) + res) w + b with [res, mul] = o W_o + b_o.
NAMM_CLONES float read_out(const float* feature, std::size_t width, const float* output, const float* weights, const float* bias,
                           const float* score_weights, float score_bias, float* residual) {
  for (std::size_t o = 0; o < 2 * width; ++o) residual[o] = bias[o];
  for (std::size_t d = 0; d < kHead; ++d) {
    const float value = output[d];
    for (std::size_t o = 0; o < 2 * width; ++o) residual[o] += value * weights[d * 2 * width + o];
  }
  float score = score_bias;
  for (std::size_t i = 0; i < width; ++i) score += (feature[i] * (1.0f + residual[width + i]) + residual[i]) * score_weights[i];
  return score;
}

}  // namespace

void bam_scores(const float* features, std::size_t tokens, std::size_t width, const float* parameters, float* scores) {
  if (tokens == 0) return;
  const float* qkv_weights = parameters;
  const float* qkv_bias = qkv_weights + width * 3 * kHead;
  const float* out_weights = qkv_bias + 3 * kHead;
  const float* out_bias = out_weights + kHead * 2 * width;
  const float* score_weights = out_bias + 2 * width;
  const float score_bias = score_weights[width];

  const std::size_t padded = (tokens + kTile - 1) / kTile * kTile;
  Projected in{std::vector<float>(padded * kHead), std::vector<float>(padded * kHead), std::vector<float>(padded * kHead)};
  project(features, tokens, width, qkv_weights, qkv_bias, in.queries.data(), in.keys.data(), in.values.data());
  std::vector<float> residual(2 * width);
  float output[kQueries * kHead];
  for (std::size_t begin = 0; begin < tokens; begin += kQueries) {
    attend(in, tokens, begin, output);
    for (std::size_t q = 0; q < std::min(kQueries, tokens - begin); ++q) {
      scores[begin + q] = read_out(features + (begin + q) * width, width, output + q * kHead, out_weights, out_bias,
                                   score_weights, score_bias, residual.data());
    }
  }
}

}  // namespace namm::kernels
