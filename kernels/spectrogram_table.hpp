#pragma once
#include <cmath>
#include <cstddef>
#include <vector>

namespace namm::kernels {

/// What a frame of the spectrogram is multiplied with where it is computed as a product, [2][17][32]: w[m] cos(2 pi k m / 32),
/// then w[m] sin(2 pi k m / 32), w the periodic Hann window.
inline std::vector<float> spectrogram_table() {
  constexpr std::size_t kFrame = 32, kFrequencies = 17;
  constexpr double kTurn = 2 * 3.14159265358979323846 / kFrame;
  std::vector<float> out(2 * kFrequencies * kFrame);
  for (std::size_t k = 0; k < kFrequencies; ++k)
    for (std::size_t m = 0; m < kFrame; ++m) {
      const double window = 0.5 * (1 - std::cos(kTurn * static_cast<double>(m))), angle = kTurn * static_cast<double>(k * m);
      out[k * kFrame + m] = static_cast<float>(window * std::cos(angle));
      out[(kFrequencies + k) * kFrame + m] = static_cast<float>(window * std::sin(angle));
    }
  return out;
}

}  // namespace namm::kernels
