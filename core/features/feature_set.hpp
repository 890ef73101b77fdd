#pragma once
#include <span>
#include <string_view>
#include <vector>

#include "core/features/normalisation.hpp"
#include "namm/statistics.hpp"

namespace namm {

/// A named way to describe a token by `width` numbers, the input of a score network.
struct FeatureSet {
  std::string_view name;
  std::size_t width;
  StatisticSet required;
  std::span<const std::size_t> normalised;  ///< ascending feature numbers that Normalisation applies to, in its order
  /// Features before normalisation, out: [token][width].
  void (*raw)(const HeadTokens& tokens, std::span<float> out);

  /// out: [tokens.size()][width], row-major. Throws std::invalid_argument on a wrong size of `out` or of the normalisation.
  void compute(const HeadTokens& tokens, const Normalisation& normalisation, std::span<float> out) const;
  /// The raw values of the normalised features, [tokens.size()][normalised.size()]: what NormalisationAccumulator gathers.
  std::vector<float> to_normalise(const HeadTokens& tokens) const;
};

/// All feature sets: `paper` (arXiv 2410.13166; spec section 4), `extended`, `light`; `probe` (age and what a fitted probe reads
/// from the key); each of the first three with the probe behind it (`paper+probe`, ...).
std::span<const FeatureSet> feature_sets();
/// Throws std::invalid_argument that names what there is.
const FeatureSet& feature_set(std::string_view name);

inline constexpr std::size_t kRecencyFeatures = 8;
inline constexpr std::size_t kPaperFeatures = kRecencyFeatures + kBins;
inline constexpr std::size_t kLightFeatures = 8;
inline constexpr std::size_t kExtendedFeatures = kPaperFeatures + kLightFeatures + 1;
inline constexpr std::size_t kProbeFeatures = 3;

// One per file; `width` is the distance between tokens in `out`, so that the extended set can put its own features behind.
void write_paper_features(const HeadTokens& tokens, std::span<float> out, std::size_t width);
void write_light_features(const HeadTokens& tokens, std::span<float> out, std::size_t width);
void write_extended_features(const HeadTokens& tokens, std::span<float> out, std::size_t width);
void write_probe_features(const HeadTokens& tokens, std::span<float> out, std::size_t width);

}  // namespace namm
