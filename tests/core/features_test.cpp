#include <cmath>

#include "core/features/feature_set.hpp"
#include "samples.hpp"
#include "tests/check.hpp"

using namespace namm;

namespace {

HeadStatistics fed(std::size_t tokens) {
  std::mt19937 random(8);
  HeadStatistics statistics(samples::needing(samples::everything()));
  if (tokens > 0) samples::feed(statistics, random, 0, tokens);
  return statistics;
}

}  // namespace

TEST_CASE("The light features are features 25 to 32 of the extended ones and need no spectrogram") {
  const HeadStatistics statistics = fed(40);
  const HeadTokens tokens = statistics.view();
  const FeatureSet &light = feature_set("light"), &extended = feature_set("extended");
  CHECK_FALSE(light.required.has(Statistic::spectrogram));
  std::vector<float> few(tokens.size() * light.width), all(tokens.size() * extended.width);
  light.compute(tokens, {}, few);
  extended.compute(tokens, {}, all);
  for (std::size_t t = 0; t < tokens.size(); ++t)
    for (std::size_t f = 0; f < light.width; ++f) CHECK(few[t * light.width + f] == all[t * extended.width + 25 + f]);
}

TEST_CASE("The extended features are what they say") {
  const HeadStatistics statistics = fed(40);
  const HeadTokens tokens = statistics.view();
  const FeatureSet& extended = feature_set("extended");
  REQUIRE(extended.width == 34);
  std::vector<float> all(40 * 34), paper(40 * 25);
  extended.compute(tokens, {}, all);
  feature_set("paper").compute(tokens, {}, paper);
  double mean = 0, square = 0;
  for (const float norm : tokens.key_norm) mean += norm / 40.0;
  for (const float norm : tokens.key_norm) square += (norm - mean) * (norm - mean) / 40.0;
  const auto z = [&](std::size_t token) { return (tokens.key_norm[token] - mean) / std::sqrt(square); };
  for (std::size_t token = 0; token < 40; ++token) {
    const float* row = all.data() + token * 34;
    CHECK(std::equal(row, row + 25, paper.data() + token * 25));
    CHECK(row[25] == Approx(std::log(1.0 + (39.0 - static_cast<double>(token)))));
    CHECK(row[26] == Approx(std::log(1e-6 + tokens.accumulated[token] / (40.0 - static_cast<double>(token)))));
    CHECK(row[27] == Approx(z(token)).margin(1e-5));
    double energy = 0;
    for (std::size_t k = 0; k < kBins; ++k) energy += std::pow(tokens.spectrogram[token * kBins + k], 2);
    CHECK(row[33] == Approx(std::log(1e-12 + energy)));
  }
  CHECK(all[20 * 34 + 29] == Approx((z(17) + z(18) + z(19) + z(20) + z(21) + z(22) + z(23)) / 7).margin(1e-5));
  CHECK(all[29] == Approx((z(0) + z(1) + z(2) + z(3)) / 4).margin(1e-5));
  double last = 0;
  for (std::size_t token = 32; token < 40; ++token) last += z(token) / 8;
  CHECK(all[39 * 34 + 31] == Approx(last).margin(1e-5));
}

TEST_CASE("Norms that are the same to rounding say nothing, those that vary are z-scored") {
  const FeatureSet& light = feature_set("light");
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  const auto largest = [&](float spread) {
    HeadStatistics statistics = fed(40);
    HeadTokens tokens = statistics.view();
    std::vector<float> norms(40);
    for (float& norm : norms) norm = 4 * (1 + spread * normal(random));
    tokens.key_norm = norms;
    std::vector<float> out(40 * light.width);
    light.compute(tokens, {}, out);
    float most = 0;
    for (std::size_t token = 0; token < 40; ++token) most = std::max(most, std::abs(out[token * light.width + 2]));
    return most;
  };
  CHECK(largest(1e-6f) < 0.01f);
  CHECK(largest(1e-2f) > 1.0f);
}

TEST_CASE("Feature sets take no, one and equal tokens") {
  for (const FeatureSet& set : feature_sets()) {
    INFO(set.name);
    for (const std::size_t tokens : {0u, 1u, 2u}) {
      const HeadStatistics statistics = fed(tokens);
      std::vector<float> out(tokens * set.width, NAN);
      set.compute(statistics.view(), {}, out);
      for (const float value : out) CHECK(std::isfinite(value));
      CHECK(set.to_normalise(statistics.view()).size() == tokens * set.normalised.size());
    }
  }
}

TEST_CASE("Normalisation applies to the features that it names") {
  const HeadStatistics statistics = fed(64);
  for (const FeatureSet& set : feature_sets()) {
    INFO(set.name);
    NormalisationAccumulator accumulator(set.normalised.size());
    accumulator.add(set.to_normalise(statistics.view()));
    std::vector<float> raw(64 * set.width), out(64 * set.width);
    set.compute(statistics.view(), {}, raw);
    set.compute(statistics.view(), accumulator.result(), out);
    for (std::size_t feature = 0; feature < set.width; ++feature) {
      double mean = 0, square = 0;
      for (std::size_t token = 0; token < 64; ++token) mean += out[token * set.width + feature] / 64.0;
      for (std::size_t token = 0; token < 64; ++token) square += std::pow(out[token * set.width + feature] - mean, 2) / 64.0;
      const bool normalised = std::count(set.normalised.begin(), set.normalised.end(), feature) == 1;
      if (normalised) CHECK(mean == Approx(0).margin(1e-4));
      if (normalised) CHECK(square == Approx(1).epsilon(1e-3));
      if (!normalised) CHECK(out[feature] == raw[feature]);
    }
    Normalisation wrong = accumulator.result();
    wrong.mean.pop_back();
    CHECK_THROWS_AS(set.compute(statistics.view(), wrong, out), std::invalid_argument);
    CHECK_THROWS_AS(set.compute(statistics.view(), {}, std::span(out).first(5)), std::invalid_argument);
  }
  CHECK_THROWS_WITH(
      feature_set("papr"),
      "feature set: must be one of paper, extended, light, probe, paper+probe, extended+probe, light+probe, is 'papr'");
}

TEST_CASE("Features without variance are finite: nothing is divided by zero") {
  for (const FeatureSet& set : feature_sets()) {
    INFO(set.name);
    const HeadStatistics one = fed(1);
    NormalisationAccumulator accumulator(set.normalised.size());
    for (int times = 0; times < 3; ++times) accumulator.add(set.to_normalise(one.view()));
    const Normalisation flat = accumulator.result();
    for (const float variance : flat.variance) CHECK(variance == Approx(0).margin(1e-6));
    for (const std::size_t tokens : {1u, 40u}) {
      const HeadStatistics statistics = fed(tokens);
      std::vector<float> out(tokens * set.width, NAN);
      set.compute(statistics.view(), flat, out);
      for (const float value : out) CHECK(std::isfinite(value));
    }
  }
}

TEST_CASE("Normalisation statistics merge exactly enough and repeat exactly") {
  std::mt19937 random(9);
  std::normal_distribution<float> normal(100.0f, 0.01f);  // a large mean over a small spread: the naive sums fail here
  std::vector<float> rows(3 * 3000);
  for (float& value : rows) value = normal(random);
  NormalisationAccumulator whole(3), merged(3), again(3);
  whole.add(rows);
  again.add(rows);
  for (std::size_t from = 0; from < rows.size(); from += 900) {
    NormalisationAccumulator part(3);
    part.add(std::span(rows).subspan(from, 900));
    merged.merge(part);
  }
  merged.merge(NormalisationAccumulator(3));
  CHECK(whole.result() == again.result());
  CHECK(merged.count() == 3000);
  for (std::size_t k = 0; k < 3; ++k) {
    CHECK(whole.result().variance[k] == Approx(1e-4).epsilon(0.1));
    CHECK(merged.result().variance[k] == Approx(whole.result().variance[k]).epsilon(1e-6));
  }
  CHECK(NormalisationAccumulator(2).result() == Normalisation{{0, 0}, {1, 1}});
  CHECK_THROWS_AS(whole.merge(NormalisationAccumulator(4)), std::invalid_argument);
  CHECK_THROWS_AS(whole.add(std::vector<float>(4)), std::invalid_argument);
}
