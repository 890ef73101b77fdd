// The `extended` features: the paper's 25, the eight `light` ones that help most by measurement, and the energy of the
// spectrogram.
//
//   0..24  paper     25..32  light     33  ln(1e-12 + sum of squares of the spectrogram)
#include <cmath>

#include "core/features/feature_set.hpp"

namespace namm {

void write_extended_features(const HeadTokens& tokens, std::span<float> out, std::size_t width) {
  if (tokens.size() == 0) return;
  write_paper_features(tokens, out, width);
  write_light_features(tokens, out.subspan(kPaperFeatures), width);
  for (std::size_t token = 0; token < tokens.size(); ++token) {
    double energy = 0;
    for (std::size_t k = 0; k < kBins; ++k) {
      const double magnitude = tokens.spectrogram[token * kBins + k];
      energy += magnitude * magnitude;
    }
    out[token * width + kExtendedFeatures - 1] = static_cast<float>(std::log(1e-12 + energy));
  }
}

}  // namespace namm
