#include "kernels/spectrogram_token.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/spectrogram.hpp"
#include "tests/check.hpp"

using namespace namm::kernels;

TEST_CASE("the arithmetic of the CUDA kernel equals the CPU kernel") {
  const std::vector<float> table = spectrogram_table();
  for (const std::size_t tokens : {0u, 1u, 127u, 128u, 129u}) {
    std::vector<float> signal(tokens * kFrame), ema(tokens * kFrequencies);
    for (std::size_t i = 0; i < signal.size(); ++i) signal[i] = std::abs(std::sin(static_cast<float>(i) * 0.7f));
    for (std::size_t i = 0; i < ema.size(); ++i) ema[i] = static_cast<float>(i % 13) * 0.1f;
    std::vector<float> expected = ema;
    spectrogram_frame(signal.data(), expected.data(), tokens, 0.85f);
    for (std::size_t t = 0; t < tokens; ++t)
      spectrogram_token(signal.data() + t * kFrame, ema.data() + t * kFrequencies, 0.85f, table.data());
    double worst = 0;
    for (std::size_t i = 0; i < ema.size(); ++i) worst = std::max(worst, std::abs(static_cast<double>(ema[i]) - expected[i]));
    CHECK(worst < 2e-6);
  }
}
