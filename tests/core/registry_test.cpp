#include "base/nearest_names.hpp"
#include "namm/cache_policy.hpp"
#include "namm/policy.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "samples.hpp"
#include "tests/check.hpp"

using namespace namm;

TEST_CASE("The registry holds what the toolkit promises, once") {
  std::set<std::string_view> names;
  for (const PolicyEntry& entry : policy_registry()) {
    CHECK(names.insert(entry.name).second);
    CHECK_FALSE(entry.summary.empty());
    CHECK(entry.make(samples::settings_of(entry))->name() == entry.name);
  }
  for (const char* name :
       {"full", "namm", "namm-mlp", "linear", "random", "streaming", "h2o", "h2o-mean", "tova", "snapkv", "knorm", "key-probe"}) {
    CHECK(names.count(name) == 1);
  }
}

TEST_CASE("Unknown names are answered with the nearest ones") {
  try {
    make_policy("h20");
    FAIL("accepted");
  } catch (const std::invalid_argument& error) {
    CHECK(std::string(error.what()).starts_with("policy: must be a registered name, is 'h20'; nearest: h2o"));
  }
  const std::vector<std::string_view> known = {"streaming", "snapkv", "full"};
  CHECK(nearest_names("snapvk", known, 1) == std::vector<std::string>{"snapkv"});
  CHECK(nearest_names("", known, 9).size() == 3);
  CHECK(nearest_names(std::string(1 << 20, 'x'), known).size() == 3);
}

TEST_CASE("Settings of policies are read and refused") {
  using nlohmann::json;
  CHECK(make_policy("namm")->parameter_count() == 4172);
  CHECK(make_policy("namm", {{"features", "extended"}})->parameter_count() == 34 * 96 + 96 + 32 * 68 + 68 + 34 + 1);
  CHECK(make_policy("namm-mlp")->parameter_count() == 676);
  CHECK(make_policy("namm-mlp", {{"depth", 2}, {"bias", false}})->parameter_count() == 650);
  CHECK(make_policy("namm-mlp", {{"depth", 1}, {"bias", false}})->parameter_count() == 25);
  CHECK(make_policy("linear", {{"features", "extended"}})->parameter_count() == 35);
  CHECK_THROWS_WITH(make_policy("namm-mlp", {{"depth", 7}}),
                    "field policy.depth must be a whole number from 1 to 2, is 7; correct it or write the file anew");
  CHECK_THROWS_WITH(make_policy("linear", {{"features", "papr"}}),
                    "field policy.features must be paper or extended or light or probe or paper+probe or extended+probe or "
                    "light+probe, is \"papr\"; correct it or write the file anew");
  CHECK_THROWS_AS(make_policy("snapkv", {{"kernel", 4}}), std::runtime_error);
  CHECK_THROWS_AS(make_policy("snapkv", {{"pooling", "median"}}), std::runtime_error);
  CHECK_THROWS_AS(make_policy("random", {{"seed", -1}}), std::runtime_error);
  CHECK_THROWS_AS(make_policy("random", {{"seed", 1.5}}), std::runtime_error);
  CHECK_THROWS_AS(make_policy("h2o", {{"extra", 1}}), std::runtime_error);
  CHECK_THROWS_AS(make_policy("linear", json::array()), std::runtime_error);
  CHECK_THROWS_AS(make_policy("linear", {{"weights", {1, 2}}}), std::runtime_error);
}

TEST_CASE("tova-layer: the heads of a layer keep the same tokens, those of the highest mean") {
  std::mt19937 random(5);
  std::vector<HeadStatistics> statistics(4, HeadStatistics(samples::needing(samples::everything())));
  std::vector<HeadTokens> heads;
  for (HeadStatistics& one : statistics) samples::feed(one, random, 0, 60);
  for (std::size_t h = 0; h < 4; ++h) {
    heads.push_back(statistics[h].view());
    heads.back().layer = static_cast<int>(h / 2);
    heads.back().kv_head = static_cast<int>(h % 2);
  }
  SelectionSettings settings;
  settings.sinks = settings.recent = 0;
  const Selection own = plan_update(*make_policy("tova"), settings, heads, 20);
  const Selection shared = plan_update(*make_policy("tova-layer"), settings, heads, 20);
  CHECK(own.kept[0] != own.kept[1]);
  CHECK(shared.kept[2] == shared.kept[3]);
  CHECK(shared.kept[0] != shared.kept[2]);
  for (std::size_t layer = 0; layer < 2; ++layer) {
    std::vector<std::pair<float, std::int32_t>> means = {{-2.0f, 59}};  // the newest is always kept
    for (std::int32_t i = 0; i < 59; ++i)
      means.emplace_back(-(heads[2 * layer].last_row[i] + heads[2 * layer + 1].last_row[i]) / 2, i);
    std::sort(means.begin(), means.end());
    std::vector<std::int32_t> best;
    for (std::size_t i = 0; i < 20; ++i) best.push_back(means[i].second);
    std::sort(best.begin(), best.end());
    CHECK(shared.kept[2 * layer] == best);
    CHECK(shared.kept[2 * layer + 1] == best);
  }
}

TEST_CASE("h2o-half: half of the budget is the newest tokens', the rest the heavy hitters'") {
  std::mt19937 random(6);
  HeadStatistics statistics(samples::needing(samples::everything()));
  samples::feed(statistics, random, 0, 60);
  const std::vector<HeadTokens> heads = {statistics.view()};
  SelectionSettings settings;
  settings.sinks = settings.recent = 0;
  std::vector<std::pair<float, std::int32_t>> older;
  for (std::int32_t i = 0; i < 50; ++i) older.emplace_back(-heads[0].accumulated[static_cast<std::size_t>(i)], i);
  std::sort(older.begin(), older.end());
  std::vector<std::int32_t> expected;
  for (std::size_t i = 0; i < 10; ++i) expected.push_back(older[i].second);
  std::sort(expected.begin(), expected.end());
  for (std::int32_t i = 50; i < 60; ++i) expected.push_back(i);
  const auto policy = make_policy("h2o-half");
  CHECK(plan_update(*policy, settings, heads, 20).kept[0] == expected);
  CHECK(plan_update(*make_policy("h2o"), settings, heads, 20).kept[0] != expected);
  CHECK(plan_update(*policy, settings, heads, 1).kept[0] == std::vector<std::int32_t>{59});
  CHECK(plan_update(*policy, settings, heads, -1).kept[0].size() == 60);
}

TEST_CASE("Baselines score as their papers say") {
  std::mt19937 random(3);
  HeadStatistics statistics(samples::needing(samples::everything()));
  samples::feed(statistics, random, 0, 50);
  HeadTokens tokens = statistics.view();
  std::vector<float> scores(50);
  const auto score = [&](std::string_view name, const nlohmann::json& settings = nlohmann::json::object()) {
    make_policy(name, settings)->score(tokens, scores);
  };
  score("h2o-mean");
  CHECK(scores[10] == tokens.accumulated[10] / 40.0f);
  score("knorm");
  CHECK(scores[10] == -tokens.key_norm[10]);
  score("streaming");
  CHECK(scores[3] == 50.0f);
  CHECK(scores[4] == 4.0f);
  CHECK(scores[49] == 49.0f);
  const std::span<const float> mean = tokens.window_mean;
  score("snapkv");  // the observation window is kept whatever it was looked at
  for (std::size_t i = 18; i < 50; ++i) CHECK(scores[i] == 2);
  CHECK(scores[10] == *std::max_element(mean.begin() + 7, mean.begin() + 14));
  CHECK(scores[17] == *std::max_element(mean.begin() + 14, mean.begin() + 21));
  score("snapkv", {{"window", 0}});
  CHECK(scores[20] == *std::max_element(mean.begin() + 17, mean.begin() + 24));
  CHECK(scores[0] == *std::max_element(mean.begin(), mean.begin() + 4));
  CHECK(scores[49] == *std::max_element(mean.begin() + 46, mean.end()));
  score("snapkv", {{"pooling", "average"}, {"kernel", 3}, {"window", 0}});
  CHECK(scores[20] == Approx((mean[19] + mean[20] + mean[21]) / 3));
  CHECK(scores[49] == Approx((mean[48] + mean[49]) / 2));
}

TEST_CASE("random depends on seed, layer, head and position only") {
  const std::vector<std::int32_t> positions = samples::range(0, 4000), later = {5, 17, 3999};
  HeadTokens tokens;
  tokens.positions = positions;
  std::vector<float> one(4000), two(4000), three(3);
  const auto policy = make_policy("random");
  policy->score(tokens, one);
  HeadTokens subset;
  subset.positions = later;
  policy->score(subset, three);
  CHECK(three == std::vector<float>{one[5], one[17], one[3999]});
  tokens.kv_head = 1;
  policy->score(tokens, two);
  CHECK(one != two);
  tokens.kv_head = 0;
  tokens.layer = 1;
  policy->score(tokens, two);
  CHECK(one != two);
  tokens.layer = 0;
  make_policy("random", {{"seed", 9}})->score(tokens, two);
  CHECK(one != two);
  double sum = 0;
  for (const float score : one) sum += score;
  CHECK(sum / 4000 == Approx(0.5).margin(0.03));
  CHECK(*std::min_element(one.begin(), one.end()) >= 0);
  CHECK(*std::max_element(one.begin(), one.end()) < 1);
}
