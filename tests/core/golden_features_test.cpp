#include "core/features/feature_set.hpp"
#include "golden.hpp"
#include "tests/check.hpp"

using namespace namm;

TEST_CASE("The paper's features agree with the reference", "[golden]") {
  const nlohmann::json file = golden::load("features.json");
  for (const nlohmann::json& item : file.at("cases")) {
    const std::string name = item.at("name");
    INFO(name);
    const golden::Array positions = golden::array(item.at("positions")), ema = golden::array(item.at("ema"));
    const golden::Array wanted = golden::array(item.at("features"));
    const Normalisation normalisation{golden::array(item.at("mean")).data, golden::array(item.at("var")).data};
    double worst_recency = 0, worst_spectrogram = 0;
    for (std::size_t head = 0; head < positions.shape[0]; ++head) {
      const std::vector<std::int32_t> places = golden::integers(positions.slice(head));
      HeadTokens tokens;
      tokens.positions = places;
      tokens.spectrogram = ema.slice(head);
      std::vector<float> got(places.size() * kPaperFeatures);
      feature_set("paper").compute(tokens, normalisation, got);
      for (std::size_t token = 0; token < places.size(); ++token) {
        const std::span<const float> mine = std::span<const float>(got).subspan(token * kPaperFeatures, kPaperFeatures);
        const std::span<const float> theirs = wanted.slice(head, token);
        worst_recency = std::max(worst_recency, golden::largest_error(mine.first(8), theirs.first(8)));
        const double absolute = name == "sigma_floor" ? 1e-6 : 1e-5;
        worst_spectrogram =
            std::max(worst_spectrogram, golden::largest_excess(mine.subspan(8), theirs.subspan(8), absolute, 1e-5));
      }
    }
    golden::report("features ", name, ": recency max error ", worst_recency, ", spectrogram ", worst_spectrogram,
                   " of the bound");
    CHECK(worst_recency <= 1e-6);
    CHECK(worst_spectrogram <= 1.0);
  }
}

TEST_CASE("Normalisation statistics agree with the reference", "[golden]") {
  const nlohmann::json item = golden::load("features.json").at("norm_stats");
  NormalisationAccumulator all(kBins), merged(kBins);
  for (const nlohmann::json& block : item.at("ema_blocks")) {
    const golden::Array rows = golden::array(block);
    all.add(rows.data);
    NormalisationAccumulator part(kBins);
    part.add(rows.data);
    merged.merge(part);
  }
  CHECK(all.count() == item.at("num").get<std::int64_t>());
  CHECK(merged.count() == all.count());
  for (const Normalisation& result : {all.result(), merged.result()}) {
    const double mean = golden::largest_excess(result.mean, golden::array(item.at("mean")).data, 1e-8, 1e-6);
    const double variance = golden::largest_excess(result.variance, golden::array(item.at("var")).data, 1e-8, 1e-6);
    golden::report("norm_stats: mean ", mean, ", variance ", variance, " of the bound");
    CHECK(mean <= 1.0);
    CHECK(variance <= 1.0);
  }
}
