#pragma once
#include <cmath>
#include <cstddef>
#include <vector>

#include "kernels/host_device.hpp"

namespace namm::kernels {

inline constexpr int kFrame = 32;        ///< queries per window
inline constexpr int kFrequencies = 17;  ///< one-sided bins

/// The arithmetic of spectrogram_frame() for one token, shared by the CUDA kernel and its test on the host: 32 values of the
/// signal, 17 moving averages updated in place. table: [2][17][32], cosines and sines times the window (spectrogram_table()).
NAMM_HOST_DEVICE inline void spectrogram_token(const float* signal, float* ema, float decay, const float* table) {
  for (int k = 0; k < kFrequencies; ++k) {
    const float* const cosines = table + k * kFrame;
    const float* const sines = cosines + kFrequencies * kFrame;
    float real = 0, imaginary = 0;
    NAMM_UNROLL
    for (int m = 0; m < kFrame; ++m) {
      real += signal[m] * cosines[m];
      imaginary += signal[m] * sines[m];
    }
    ema[k] = decay * ema[k] + (1.0f - decay) * sqrtf(real * real + imaginary * imaginary);
  }
}

/// [2][17][32]: w[m] cos(2 pi k m / 32), then w[m] sin(2 pi k m / 32), w the periodic Hann window.
inline std::vector<float> spectrogram_table() {
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
