#include "golden.hpp"
#include "kernels/spectrogram.hpp"
#include "namm/statistics.hpp"
#include "tests/check.hpp"

using namm::kBins;
using namm::kHop;

TEST_CASE("Spectrogram magnitudes agree with the reference", "[golden]") {
  const nlohmann::json file = golden::load("stft.json");
  for (const nlohmann::json& item : file.at("cases")) {
    INFO(item.at("name"));
    const golden::Array signal = golden::array(item.at("signal")), left = golden::array(item.at("left"));
    const golden::Array magnitudes = golden::array(item.at("magnitudes"));
    double worst = 0;
    for (std::size_t head = 0; head < signal.shape[0]; ++head) {
      for (std::size_t token = 0; token < signal.shape[1]; ++token) {
        // every frame of this token is one "token" for the kernel
        std::vector<float> extended(left.slice(head, token).begin(), left.slice(head, token).end());
        extended.insert(extended.end(), signal.slice(head, token).begin(), signal.slice(head, token).end());
        const std::size_t frames = signal.shape[2] / kHop;
        std::vector<float> windows;
        for (std::size_t frame = 0; frame < frames; ++frame) {
          const auto begin = extended.begin() + static_cast<std::ptrdiff_t>(frame * kHop);
          windows.insert(windows.end(), begin, begin + 2 * kHop);
        }
        std::vector<float> got(frames * kBins);
        namm::kernels::spectrogram_magnitudes(windows.data(), got.data(), frames);
        worst = std::max(worst, golden::largest_error(got, magnitudes.slice(head, token)));
      }
    }
    golden::report("stft ", item.at("name"), ": max error ", worst);
    CHECK(worst <= 1e-5);
  }
}
