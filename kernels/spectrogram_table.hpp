#pragma once
#include <cmath>
#include <cstddef>
#include <vector>

namespace namm::kernels {

/// What a frame of the spectrogram is multiplied with where it is computed as a product, [2][17][32]: w[m] cos(2 pi k m / 32),
/// then w[m] sin(2 pi k m / 32), w the periodic Hann window.
inline std::vector<float> spectrogram_table() {
  constexpr int kFrame = 32, kFrequencies = 17;
  constexpr double kTurn = 2 * 3.14159265358979323846 / kFrame;
  std::vector<float> out(static_cast<std::size_t>(2 * kFrequencies * kFrame));
  for (int k = 0; k < kFrequencies; ++k)
    for (int m = 0; m < kFrame; ++m) {
      const double window = 0.5 * (1 - std::cos(kTurn * m));
      out[static_cast<std::size_t>(k * kFrame + m)] = static_cast<float>(window * std::cos(kTurn * k * m));
      out[static_cast<std::size_t>((kFrequencies + k) * kFrame + m)] = static_cast<float>(window * std::sin(kTurn * k * m));
    }
  return out;
}

}  // namespace namm::kernels
