#include "core/features/feature_set.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <stdexcept>
#include <string>

namespace namm {
namespace {

// What is not bounded by nature is normalised: the spectrogram, logarithms (age, mean attention, energy), the probe.
constexpr std::array<std::size_t, 17> kPaperNormalised = {8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24};
constexpr std::array<std::size_t, 20> kExtendedNormalised = {8,  9,  10, 11, 12, 13, 14, 15, 16, 17,
                                                             18, 19, 20, 21, 22, 23, 24, 25, 26, 33};
constexpr std::array<std::size_t, 2> kLightNormalised = {0, 1};
constexpr std::array<std::size_t, 4> kProbeNormalised = {0, 1, 2, 3};

/// The same with the three probe features behind `width` others.
template <std::size_t count>
constexpr std::array<std::size_t, count + kProbeFeatures> with_probe(const std::array<std::size_t, count>& normalised,
                                                                     std::size_t width) {
  std::array<std::size_t, count + kProbeFeatures> out{};
  for (std::size_t i = 0; i < count; ++i) out[i] = normalised[i];
  for (std::size_t i = 0; i < kProbeFeatures; ++i) out[count + i] = width + i;
  return out;
}
constexpr auto kPaperProbeNormalised = with_probe(kPaperNormalised, kPaperFeatures);
constexpr auto kExtendedProbeNormalised = with_probe(kExtendedNormalised, kExtendedFeatures);
constexpr auto kLightProbeNormalised = with_probe(kLightNormalised, kLightFeatures);

using Writer = void (*)(const HeadTokens&, std::span<float>, std::size_t);

template <Writer writer, std::size_t width>
void alone(const HeadTokens& tokens, std::span<float> out) {
  writer(tokens, out, width);
}
template <Writer writer, std::size_t width>
void and_probe(const HeadTokens& tokens, std::span<float> out) {
  if (tokens.size() == 0) return;
  writer(tokens, out, width + kProbeFeatures);
  write_probe_features(tokens, out.subspan(width), width + kProbeFeatures);
}
void write_age(const HeadTokens& tokens, std::span<float> out, std::size_t width) {
  for (std::size_t token = 0; token < tokens.size(); ++token) {
    const double age = static_cast<double>(tokens.positions.back()) - static_cast<double>(tokens.positions[token]);
    out[token * width] = static_cast<float>(std::log1p(age));
  }
}

constexpr StatisticSet kPaperStatistics = Statistic::spectrogram;
constexpr StatisticSet kLightStatistics =
    Statistic::accumulated | Statistic::queries_seen | Statistic::key_norm | Statistic::value_norm;
constexpr StatisticSet kExtendedStatistics = kPaperStatistics | kLightStatistics;

const FeatureSet kSets[] = {
    {"paper", kPaperFeatures, kPaperStatistics, kPaperNormalised, alone<write_paper_features, kPaperFeatures>},
    {"extended", kExtendedFeatures, kExtendedStatistics, kExtendedNormalised, alone<write_extended_features, kExtendedFeatures>},
    {"light", kLightFeatures, kLightStatistics, kLightNormalised, alone<write_light_features, kLightFeatures>},
    {"probe", 1 + kProbeFeatures, Statistic::content, kProbeNormalised, and_probe<write_age, 1>},
    {"paper+probe", kPaperFeatures + kProbeFeatures, kPaperStatistics | Statistic::content, kPaperProbeNormalised,
     and_probe<write_paper_features, kPaperFeatures>},
    {"extended+probe", kExtendedFeatures + kProbeFeatures, kExtendedStatistics | Statistic::content, kExtendedProbeNormalised,
     and_probe<write_extended_features, kExtendedFeatures>},
    {"light+probe", kLightFeatures + kProbeFeatures, kLightStatistics | Statistic::content, kLightProbeNormalised,
     and_probe<write_light_features, kLightFeatures>},
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
