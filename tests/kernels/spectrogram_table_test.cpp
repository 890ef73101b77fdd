#include "kernels/spectrogram_table.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/spectrogram.hpp"
#include "tests/check.hpp"

using namespace namm::kernels;

TEST_CASE("a frame multiplied with the table has the magnitudes of the CPU kernel") {
  constexpr std::size_t kRows = 32, kBins = 17;
  const std::vector<float> table = spectrogram_table();
  REQUIRE(table.size() == 2 * kBins * kRows);
  for (const std::size_t tokens : {0u, 1u, 127u, 128u, 129u}) {
    std::vector<float> signal(tokens * kRows), expected(tokens * kBins);
    for (std::size_t i = 0; i < signal.size(); ++i) signal[i] = std::abs(std::sin(static_cast<float>(i) * 0.7f));
    spectrogram_magnitudes(signal.data(), expected.data(), tokens);
    double worst = 0;
    for (std::size_t t = 0; t < tokens; ++t)
      for (std::size_t k = 0; k < kBins; ++k) {
        double parts[2] = {};
        for (std::size_t part = 0; part < 2; ++part)
          for (std::size_t m = 0; m < kRows; ++m)
            parts[part] += static_cast<double>(signal[t * kRows + m]) * table[(part * kBins + k) * kRows + m];
        worst = std::max(worst, std::abs(std::hypot(parts[0], parts[1]) - expected[t * kBins + k]));
      }
    CHECK(worst < 1e-5);
  }
}
