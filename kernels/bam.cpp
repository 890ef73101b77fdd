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

/// exp(x) for x <= 0, relative error below 2e-7; results that float32 cannot hold become 0 or nearly so. Cody-Waite reduction and
/// the polynomial of Cephes expf: unlike std::exp it vectorises and gives the same bits everywhere.
[[gnu::always_inline]] inline float exp_negative(float x) {
  x = x < -87.0f ? -87.0f : x;
  const float shifted = x * 1.44269504088896341f + 12582912.0f;  // rounds to the nearest integer in the low bits
  const float n = shifted - 12582912.0f;
  const float r = x - n * 0.693359375f + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.0f;
  const std::int32_t exponent = std::bit_cast<std::int32_t>(shifted) - std::bit_cast<std::int32_t>(12582912.0f);
  return p * std::bit_cast<float>((exponent + 127) << 23);
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

/// Online softmax of kQueries queries over one tile of keys. `first` (per query): keys below it in the tile are older than the
/// query. count: keys of the tile that exist. state: running maximum and sum; output [query][32] un-normalised.
[[gnu::always_inline]] inline void attend_tile(const float* queries, const float* keys, const float* values, std::size_t count,
                                               const std::size_t* first, float* maximum, float* sum, float* output) {
  float logits[kQueries][kTile] = {};
  for (std::size_t d = 0; d < kHead; ++d) {
    const float* lane = keys + d * kTile;
    for (std::size_t q = 0; q < kQueries; ++q) {
      const float query = queries[q * kHead + d];
      for (std::size_t j = 0; j < kTile; ++j) logits[q][j] += query * lane[j];
    }
  }
  for (std::size_t q = 0; q < kQueries; ++q) {
    float* row = logits[q];
    // masked keys get weight 0 below: exp_negative(-huge) is not exactly 0
    float largest = maximum[q];
    for (std::size_t j = first[q]; j < count; ++j) largest = std::max(largest, row[j]);
    const float rescale = exp_negative(maximum[q] - largest);
    maximum[q] = largest;
    for (std::size_t j = 0; j < kTile; ++j) row[j] = exp_negative(std::min(row[j] - largest, 0.0f));
    for (std::size_t j = 0; j < std::min(first[q], kTile); ++j) row[j] = 0.0f;
    for (std::size_t j = count; j < kTile; ++j) row[j] = 0.0f;
    float partial[16] = {};
    for (std::size_t j = 0; j < kTile; j += 16) {
      for (std::size_t lane = 0; lane < 16; ++lane) partial[lane] += row[j + lane];
    }
    float total = 0.0f;
    for (const float part : partial) total += part;
    sum[q] = sum[q] * rescale + total;
    for (std::size_t d = 0; d < kHead; ++d) output[q * kHead + d] *= rescale;
  }
  for (std::size_t j = 0; j < count; ++j) {
    const float* value = values + j * kHead;
    for (std::size_t q = 0; q < kQueries; ++q) {
      const float weight = logits[q][j];
      for (std::size_t d = 0; d < kHead; ++d) output[q * kHead + d] += weight * value[d];
    }
  }
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
    std::size_t first[kQueries];
    for (std::size_t q = 0; q < kQueries; ++q) first[q] = begin + q > tile ? begin + q - tile : 0;
    attend_tile(in.queries.data() + begin * kHead, in.keys.data() + tile * kHead, in.values.data() + tile * kHead,
                std::min(kTile, tokens - tile), first, maximum, sum, output);
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
