// The `extended` features: the paper's 25 and nine that help most by measurement (key and value norms with their surroundings,
// and logarithms of what is heavy-tailed).
//
//   0..24  paper                      29  key norm z, mean of 7 neighbours     32  value norm z, mean of 15
//   25     ln(1 + age)                30  value norm z, mean of 7              33  ln(1e-12 + sum of squares of the spectrogram)
//   26     ln(1e-6 + mean attention)  31  key norm z, mean of 15
//   27, 28 key, value norm, z-scored over the tokens that the head holds now
//
// Neighbours are the cached ones, centred, clipped at the ends.
#include <algorithm>
#include <cmath>

#include "namm/features/feature_set.hpp"

namespace namm {
namespace {

constexpr std::size_t kWidth = 34;

std::vector<double> z_scores(std::span<const float> values) {
  std::vector<double> out(values.begin(), values.end());
  if (out.empty()) return out;
  double mean = 0, variance = 0;
  for (const double value : out) mean += value;
  mean /= static_cast<double>(out.size());
  for (const double value : out) variance += (value - mean) * (value - mean);
  const double sigma = std::max(std::sqrt(variance / static_cast<double>(out.size())), 1e-7);
  for (double& value : out) value = (value - mean) / sigma;
  return out;
}

/// Mean over `neighbours` (odd) centred values, written to every kWidth-th place of `to`.
void write_neighbour_means(const std::vector<double>& values, std::size_t neighbours, float* to) {
  const std::size_t radius = neighbours / 2;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::size_t begin = i - std::min(i, radius), end = std::min(i + radius + 1, values.size());
    double sum = 0;
    for (std::size_t j = begin; j < end; ++j) sum += values[j];
    to[i * kWidth] = static_cast<float>(sum / static_cast<double>(end - begin));
  }
}

}  // namespace

void write_extended_features(const HeadTokens& tokens, std::span<float> out) {
  write_paper_features(tokens, out, kWidth);
  for (std::size_t token = 0; token < tokens.size(); ++token) {
    float* to = out.data() + token * kWidth;
    const double age = static_cast<double>(tokens.positions.back()) - static_cast<double>(tokens.positions[token]);
    const double mean_attention = double{tokens.accumulated[token]} / std::max(double{tokens.queries_seen[token]}, 1.0);
    double energy = 0;
    for (std::size_t k = 0; k < kBins; ++k) {
      const double magnitude = tokens.spectrogram[token * kBins + k];
      energy += magnitude * magnitude;
    }
    to[25] = static_cast<float>(std::log1p(age));
    to[26] = static_cast<float>(std::log(1e-6 + mean_attention));
    to[33] = static_cast<float>(std::log(1e-12 + energy));
  }
  const std::vector<double> keys = z_scores(tokens.key_norm), values = z_scores(tokens.value_norm);
  if (tokens.size() == 0) return;
  write_neighbour_means(keys, 1, out.data() + 27);
  write_neighbour_means(values, 1, out.data() + 28);
  write_neighbour_means(keys, 7, out.data() + 29);
  write_neighbour_means(values, 7, out.data() + 30);
  write_neighbour_means(keys, 15, out.data() + 31);
  write_neighbour_means(values, 15, out.data() + 32);
}

}  // namespace namm
