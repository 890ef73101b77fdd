#include <algorithm>
#include <array>
#include <cmath>

#include "core/features/feature_set.hpp"

namespace namm {

/// The 25 features of arXiv 2410.13166 (spec section 4): sin and cos of the age at four frequencies, then the 17 spectrogram
/// values. Age in positions, 0 for the newest cached token. Angles in double: in float32 they are wrong by 1e-4 at ages of 32768.
void write_paper_features(const HeadTokens& tokens, std::span<float> out, std::size_t width) {
  static const std::array<double, 4> frequencies = {1.0, std::pow(50000.0, -0.25), std::pow(50000.0, -0.5),
                                                    std::pow(50000.0, -0.75)};
  for (std::size_t token = 0; token < tokens.size(); ++token) {
    float* to = out.data() + token * width;
    const double age = static_cast<double>(tokens.positions.back()) - static_cast<double>(tokens.positions[token]);
    for (std::size_t j = 0; j < frequencies.size(); ++j) {
      to[j] = static_cast<float>(std::sin(age * frequencies[j]));
      to[frequencies.size() + j] = static_cast<float>(std::cos(age * frequencies[j]));
    }
    std::copy_n(tokens.spectrogram.data() + token * kBins, kBins, to + kRecencyFeatures);
  }
}

}  // namespace namm
