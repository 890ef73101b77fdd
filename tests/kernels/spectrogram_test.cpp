#include "kernels/spectrogram.hpp"

#include <cmath>
#include <random>
#include <stdexcept>
#include <vector>

#include "tests/check.hpp"

using namespace namm::kernels;

TEST_CASE("spectrogram from the probabilities of a group equals frames of their mean, split anywhere") {
  constexpr std::size_t kRows = 80;
  for (const int group : {1, 2, 3, 4, 5, 9})
    for (const std::size_t tokens : {0u, 1u, 15u, 16u, 17u, 1023u, 1024u, 1025u}) {
      INFO("group " << group << " tokens " << tokens);
      const std::size_t stride = tokens + 3;
      std::mt19937 rng(static_cast<unsigned>(tokens) + 1);
      std::uniform_real_distribution<float> uniform;
      std::vector<std::vector<float>> heads(static_cast<std::size_t>(group), std::vector<float>(kRows * stride));
      std::vector<const float*> pointers;
      for (auto& head : heads) {
        for (float& x : head) x = uniform(rng);
        pointers.push_back(head.data());
      }
      // the definition: means, zeros in front, one frame after the other
      std::vector<float> mean((kRows + 16) * tokens), wanted(tokens * 17, 0.125f);
      for (std::size_t r = 0; r < kRows; ++r)
        for (std::size_t i = 0; i < tokens; ++i) {
          float sum = 0;
          for (const auto& head : heads) sum += head[r * stride + i];
          mean[(r + 16) * tokens + i] = sum * (1.0f / static_cast<float>(group));
        }
      for (std::size_t r = 0; r < kRows; r += 16) {
        const float* frame[32];
        for (std::size_t m = 0; m < 32; ++m) frame[m] = mean.data() + (r + m) * tokens;
        spectrogram_frame_rows(frame, wanted.data(), tokens, 0.85f);
      }
      for (const std::size_t first : {0u, 16u, 48u, 80u}) {
        std::vector<float> left(16 * tokens), ema(tokens * 17, 0.125f);
        std::vector<const float*> rest;
        for (const float* head : pointers) rest.push_back(head + first * stride);
        spectrogram_probabilities(pointers.data(), group, stride, first, tokens, left.data(), ema.data(), 0.85f);
        spectrogram_probabilities(rest.data(), group, stride, kRows - first, tokens, left.data(), ema.data(), 0.85f);
        CHECK(ema == wanted);
        CHECK(left == std::vector<float>(mean.end() - static_cast<std::ptrdiff_t>(16 * tokens), mean.end()));
      }
    }
  float none = 0;
  const float* heads[] = {&none};
  CHECK_THROWS_AS(spectrogram_probabilities(heads, 1, 1, 15, 1, &none, &none, 0.5f), std::invalid_argument);
}
