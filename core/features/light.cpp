// The `light` features: what a token is and how much attention it got in all, without the spectrogram, whose state costs as much
// memory as a small head's key and value.
//
//   0  ln(1 + age)                    2, 3  key, value norm, z-scored over the tokens that the head holds now
//   1  ln(1e-6 + mean attention)      4, 5  these, mean of 7 neighbours     6, 7  mean of 15 neighbours
//
// Neighbours are the cached ones, centred, clipped at the ends. Norms that are the same to rounding (keys that the model
// normalises) are not blown up to z-scores of it: the deviation counts as a thousandth of the mean at least.
#include <algorithm>
#include <cmath>

#include "core/features/feature_set.hpp"
#include "core/features/neighbours.hpp"

namespace namm {
namespace {

// rounding moves norms by 1e-6 (float32) to 1e-4 (f16) of themselves; those of keys and values that vary do so by 1e-2 and more
constexpr double kSmallestSpread = 1e-3;

std::vector<double> z_scores(std::span<const float> values) {
  std::vector<double> out(values.begin(), values.end());
  if (out.empty()) return out;
  double mean = 0, variance = 0;
  for (const double value : out) mean += value;
  mean /= static_cast<double>(out.size());
  for (const double value : out) variance += (value - mean) * (value - mean);
  const double sigma = std::max({std::sqrt(variance / static_cast<double>(out.size())), kSmallestSpread * std::abs(mean), 1e-7});
  for (double& value : out) value = (value - mean) / sigma;
  return out;
}

}  // namespace

void write_light_features(const HeadTokens& tokens, std::span<float> out, std::size_t width) {
  if (tokens.size() == 0) return;
  for (std::size_t token = 0; token < tokens.size(); ++token) {
    float* to = out.data() + token * width;
    const double age = static_cast<double>(tokens.positions.back()) - static_cast<double>(tokens.positions[token]);
    const double mean_attention = double{tokens.accumulated[token]} / std::max(double{tokens.queries_seen[token]}, 1.0);
    to[0] = static_cast<float>(std::log1p(age));
    to[1] = static_cast<float>(std::log(1e-6 + mean_attention));
  }
  const std::vector<double> keys = z_scores(tokens.key_norm), values = z_scores(tokens.value_norm);
  std::size_t feature = 2;
  for (const std::size_t neighbours : {1u, 7u, 15u}) {
    detail::write_neighbour_means<double>(keys, neighbours, out.data() + feature++, width);
    detail::write_neighbour_means<double>(values, neighbours, out.data() + feature++, width);
  }
}

}  // namespace namm
