#pragma once
// Constants and memory that the vector code of BAM and its scalar twin have in common.
#include <cstddef>
#include <vector>

#include "kernels/bam.hpp"

namespace namm::kernels {

inline constexpr std::size_t kBamHead = 32;    ///< width of query, key and value
inline constexpr std::size_t kBamTile = 64;    ///< keys that are looked at together; token arrays are padded to whole tiles
inline constexpr std::size_t kBamQueries = 8;  ///< queries that share the loads of a tile
inline constexpr std::size_t kBamLanes = 16;   ///< sums over keys and features run in this many interleaved chains

/// exp(x) for -87 <= x <= 0 by Cody-Waite reduction and the polynomial of Cephes expf, relative error below 2e-7. Unlike
/// std::exp it vectorises and gives the same bits everywhere. Adding kBamShift leaves round(x / ln 2) in the low bits.
inline constexpr float kBamLowest = -87.0f;
inline constexpr float kBamLog2e = 1.44269504088896341f;
inline constexpr float kBamShift = 12582912.0f;
inline constexpr float kBamLn2High = 0.693359375f, kBamLn2Low = -2.12194440e-4f;
inline constexpr float kBamExp[] = {1.9875691500e-4f, 1.3981999507e-3f, 8.3334519073e-3f,
                                    4.1665795894e-2f, 1.6666665459e-1f, 5.0000001201e-1f};

/// Where the parts of a parameter vector are.
struct BamWeights {
  const float *qkv, *qkv_bias, *out, *out_bias, *score;
  float score_bias;
  BamWeights(const float* parameters, std::size_t width)
      : qkv(parameters),
        qkv_bias(qkv + width * 3 * kBamHead),
        out(qkv_bias + 3 * kBamHead),
        out_bias(out + kBamHead * 2 * width),
        score(out_bias + 2 * width),
        score_bias(score[width]) {}
};

/// Queries, keys and values of one problem, and the read-out padded to whole vectors. Reused from problem to problem.
struct BamMemory {
  std::vector<float> queries;  ///< [token][32], divided by sqrt(32)
  std::vector<float> keys;     ///< [tile][32][64]: a vector lane is a key
  std::vector<float> values;   ///< [token][32]
  std::vector<float> out;      ///< [1 + 32][2 * padded width]: bias, then W_o; residuals first, then multipliers
  std::vector<float> score;    ///< [padded width]
  std::size_t padded_width = 0;

  void prepare(std::size_t tokens, std::size_t width, const BamWeights& weights) {
    const std::size_t padded = (tokens + kBamTile - 1) / kBamTile * kBamTile;
    for (auto* part : {&queries, &keys, &values})
      if (part->size() < padded * kBamHead) part->resize(padded * kBamHead);
    padded_width = (width + kBamLanes - 1) / kBamLanes * kBamLanes;
    out.assign((1 + kBamHead) * 2 * padded_width, 0.0f);
    score.assign(padded_width, 0.0f);
    for (std::size_t row = 0; row <= kBamHead; ++row) {
      const float* const from = row == 0 ? weights.out_bias : weights.out + (row - 1) * 2 * width;
      for (std::size_t i = 0; i < width; ++i) {
        out[row * 2 * padded_width + i] = from[i];
        out[(row * 2 + 1) * padded_width + i] = from[width + i];
      }
    }
    for (std::size_t i = 0; i < width; ++i) score[i] = weights.score[i];
  }
};

}  // namespace namm::kernels
