#include "namm/features/feature_set.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <stdexcept>
#include <string>

namespace namm {
namespace {

constexpr std::array<std::size_t, 17> kPaperNormalised = {8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24};
// the spectrogram and the logarithms without bounds: age, mean attention, energy
constexpr std::array<std::size_t, 20> kExtendedNormalised = {8,  9,  10, 11, 12, 13, 14, 15, 16, 17,
                                                             18, 19, 20, 21, 22, 23, 24, 25, 26, 33};

constexpr std::array<std::size_t, 2> kLightNormalised = {0, 1};  // the logarithms

const FeatureSet kSets[] = {
    {"paper", kPaperFeatures, Statistic::spectrogram, kPaperNormalised,
     [](const HeadTokens& tokens, std::span<float> out) { write_paper_features(tokens, out, kPaperFeatures); }},
    {"extended", 34,
     Statistic::spectrogram | Statistic::accumulated | Statistic::queries_seen | Statistic::key_norm | Statistic::value_norm,
     kExtendedNormalised, write_extended_features},
    {"light", kLightFeatures, Statistic::accumulated | Statistic::queries_seen | Statistic::key_norm | Statistic::value_norm,
     kLightNormalised, [](const HeadTokens& tokens, std::span<float> out) { write_light_features(tokens, out, kLightFeatures); }},
};

}  // namespace

std::span<const FeatureSet> feature_sets() {
  return kSets;
}

const FeatureSet& feature_set(std::string_view name) {
  std::string known;
  for (const FeatureSet& set : kSets) {
    if (set.name == name) return set;
    known += (known.empty() ? "" : ", ") + std::string(set.name);
  }
  throw std::invalid_argument("feature set: must be one of " + known + ", is '" + std::string(name.substr(0, 40)) + "'");
}

void FeatureSet::compute(const HeadTokens& tokens, const Normalisation& normalisation, std::span<float> out) const {
  if (out.size() != tokens.size() * width) {
    throw std::invalid_argument("features " + std::string(name) + ": out must hold " + std::to_string(tokens.size() * width) +
                                " values, holds " + std::to_string(out.size()));
  }
  raw(tokens, out);
  if (normalisation.identity()) return;
  if (normalisation.mean.size() != normalised.size() || normalisation.variance.size() != normalised.size()) {
    throw std::invalid_argument("features " + std::string(name) + ": normalisation must have " +
                                std::to_string(normalised.size()) + " means and variances, has " +
                                std::to_string(normalisation.mean.size()) + " and " +
                                std::to_string(normalisation.variance.size()));
  }
  std::vector<float> divisors(normalised.size());
  for (std::size_t k = 0; k < divisors.size(); ++k) divisors[k] = std::max(std::sqrt(normalisation.variance[k]), 1e-7f);
  for (std::size_t first = 0; first < out.size(); first += width) {
    for (std::size_t k = 0; k < divisors.size(); ++k) {
      float& value = out[first + normalised[k]];
      value = (value - normalisation.mean[k]) / divisors[k];
    }
  }
}

std::vector<float> FeatureSet::to_normalise(const HeadTokens& tokens) const {
  std::vector<float> all(tokens.size() * width), out;
  raw(tokens, all);
  out.reserve(tokens.size() * normalised.size());
  for (std::size_t first = 0; first < all.size(); first += width) {
    for (const std::size_t feature : normalised) out.push_back(all[first + feature]);
  }
  return out;
}

}  // namespace namm
