// The non-causal case is skipped for the streaming path: dense rows of a query on newer tokens cannot come from a causal model,
// and the causal factor of spec section 2, which only shows there, has no streaming counterpart.
#include "golden.hpp"
#include "kernels/spectrogram.hpp"
#include "namm/statistics.hpp"
#include "samples.hpp"
#include "tests/check.hpp"

using namespace namm;

TEST_CASE("The streaming spectrogram agrees with the reference", "[golden]") {
  const nlohmann::json file = golden::load("ema.json");
  const int split = GENERATE(0, 1, 7, 16, 24);  // rows per call; 0 = all at once
  for (const nlohmann::json& item : file.at("cases")) {
    if (!item.at("causal").get<bool>()) continue;
    INFO(item.at("name") << ", rows per call " << split);
    const int queries = item.at("Q");
    const std::size_t heads = 2;
    std::vector<HeadStatistics> statistics(heads, HeadStatistics(samples::needing(Statistic::spectrogram)));
    double worst = 0;
    for (const nlohmann::json& update : item.at("updates")) {
      const golden::Array positions = golden::array(update.at("positions")), attention = golden::array(update.at("attn"));
      const golden::Array wanted = golden::array(update.at("ema"));
      const std::size_t tokens = attention.shape[2];
      for (std::size_t head = 0; head < heads; ++head) {
        const std::vector<std::int32_t> all = golden::integers(positions.slice(head));
        const std::size_t old = update.at("n_old");
        statistics[head].append(std::span(all).subspan(old), {}, {});
        const std::int32_t first = all[old];
        const int step = split == 0 ? queries : split;
        for (int row = 0; row < queries; row += step) {
          statistics[head].observe(attention.slice(head).subspan(static_cast<std::size_t>(row) * tokens),
                                   std::min(step, queries - row), tokens, first + row);
        }
        worst = std::max(worst, golden::largest_error(statistics[head].view().spectrogram, wanted.slice(head)));
        if (!update.contains("kept_idx")) continue;
        statistics[head].keep(golden::integers(golden::array(update.at("kept_idx")).slice(head)));
        const golden::Array after = golden::array(update.at("ema_after_evict"));
        worst = std::max(worst, golden::largest_error(statistics[head].view().spectrogram, after.slice(head)));
      }
    }
    if (split == 0) golden::report("ema ", item.at("name"), ": max error ", worst);
    CHECK(worst <= 2e-6);
  }
}

TEST_CASE("The spectrogram of one update of 512 queries agrees with the reference", "[golden]") {
  const nlohmann::json item = golden::load("ema.json").at("q512");
  const golden::Array signal = golden::array(item.at("signal")), left = golden::array(item.at("left_in"));
  const golden::Array before = golden::array(item.at("ema_in")), wanted = golden::array(item.at("ema"));
  const float decay = static_cast<float>(std::pow(0.99f, 16.0));
  double worst = 0;
  for (std::size_t head = 0; head < signal.shape[0]; ++head) {
    for (std::size_t token = 0; token < signal.shape[1]; ++token) {
      std::vector<float> extended(left.slice(head, token).begin(), left.slice(head, token).end());
      extended.insert(extended.end(), signal.slice(head, token).begin(), signal.slice(head, token).end());
      std::vector<float> ema(before.slice(head, token).begin(), before.slice(head, token).end());
      for (std::size_t frame = 0; frame < 512 / kHop; ++frame) {
        kernels::spectrogram_frame(extended.data() + frame * kHop, ema.data(), 1, decay);
      }
      worst = std::max(worst, golden::largest_error(ema, wanted.slice(head, token)));
    }
  }
  golden::report("ema q512: max error ", worst);
  CHECK(worst <= 5e-7);
}
