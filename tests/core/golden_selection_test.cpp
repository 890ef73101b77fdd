#include <algorithm>

#include "golden.hpp"
#include "namm/selection.hpp"
#include "samples.hpp"
#include "tests/check.hpp"

using namespace namm;

TEST_CASE("Mode reference keeps what the reference keeps", "[golden]") {
  const nlohmann::json file = golden::load("selection.json");
  std::size_t cases = 0;
  for (const nlohmann::json& item : file.at("cases")) {
    INFO(item.at("name"));
    const golden::Array scores = golden::array(item.at("scores")), kept = golden::array(item.at("kept"));
    std::vector<std::int32_t> positions(scores.shape[1]);
    for (std::size_t i = 0; i < positions.size(); ++i) positions[i] = static_cast<std::int32_t>(3 * i);
    std::vector<ScoredHead> heads;
    for (std::size_t head = 0; head < scores.shape[0]; ++head) heads.push_back({7, scores.slice(head), positions});
    const Selection got = select(samples::selecting(SelectionMode::reference), heads, item.at("budget"));
    for (std::size_t head = 0; head < heads.size(); ++head) {
      const std::vector<std::int32_t> wanted = golden::integers(kept.slice(head));
      if (!item.at("tie_ambiguous").get<bool>()) {
        CHECK(got.kept[head] == wanted);
        continue;
      }
      const auto sorted_scores = [&](const std::vector<std::int32_t>& indices) {
        std::vector<float> out;
        for (const std::int32_t i : indices) out.push_back(heads[head].scores[static_cast<std::size_t>(i)]);
        std::sort(out.begin(), out.end());
        return out;
      };
      REQUIRE_FALSE(got.kept[head].empty());
      CHECK(got.kept[head].back() == wanted.back());
      CHECK(sorted_scores(got.kept[head]) == sorted_scores(wanted));
    }
    ++cases;
  }
  CHECK(cases == 18);
}
