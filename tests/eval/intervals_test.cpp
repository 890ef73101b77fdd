#include "eval/intervals.hpp"

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "tests/check.hpp"
#include "tests/eval/golden.hpp"

using namespace namm::eval;

namespace {

constexpr double kResamplesDrawn = 2000, kSpread = 4.5;  // of a share that is estimated: 1 in 100,000 lies outside

/// Means, or ratios of sums, of all n^n resamples, ascending. A resample whose base has no positive sum does not count.
std::vector<double> all_resamples(const std::vector<double>& values, const std::vector<double>* base = nullptr) {
  const std::size_t n = values.size();
  std::vector<std::size_t> at(n, 0);
  std::vector<double> out;
  for (bool more = true; more;) {
    double sum = 0, below = 0;
    for (const std::size_t i : at) {
      sum += values[i];
      below += base == nullptr ? 1 : (*base)[i];
    }
    if (below > 0) out.push_back(sum / below);
    more = false;
    for (std::size_t& digit : at) {
      if (++digit < n) {
        more = true;
        break;
      }
      digit = 0;
    }
  }
  std::sort(out.begin(), out.end());
  return out;
}

double quantile(const std::vector<double>& ascending, double share) {
  const auto at = static_cast<std::size_t>(share * static_cast<double>(ascending.size()));
  return ascending[std::min(at, ascending.size() - 1)];
}

/// Both ends are where 2.5 % of the resamples lie beyond them, to the error of the ones that were drawn.
void check_against(const Interval& found, const std::vector<double>& all, double drawn) {
  const double beyond = (std::floor(drawn / 40) + 1) / (drawn + 1), error = kSpread * std::sqrt(0.025 * 0.975 / drawn);
  CAPTURE(found.low, found.high, all.size());
  const auto between = [](double low, double value, double high) { return low - 1e-12 <= value && value <= high + 1e-12; };
  CHECK(between(quantile(all, beyond - error), found.low, quantile(all, beyond + error)));
  CHECK(between(quantile(all, 1 - beyond - error), found.high, quantile(all, 1 - beyond + error)));
}

}  // namespace

TEST_CASE("intervals: the mean, and nothing of nothing") {
  const std::vector<double> values = {0.5, 1.25, -0.25, 2};
  CHECK(mean(values) == 0.875);
  CHECK(std::isnan(mean({})));
  CHECK(std::isnan(bootstrap_ci95({}).low));
  CHECK(std::isnan(bootstrap_ratio_ci95({}, {}).high));
  CHECK_THROWS_WITH(bootstrap_ratio_ci95(values, std::vector<double>{1, 2}), Contains("pairs") && Contains("4 and 2"));
}

TEST_CASE("intervals: percentiles of all n^n resamples of up to five values") {
  const std::vector<std::vector<double>> cases = {
      {0.7},           {0, 1},           {0.2, 0.9},     {0, 0, 1}, {0.1, 0.5, 2.5}, {0, 1, 1, 1}, {-3, -0.1, 0.2, 0.9},
      {0, 0, 1, 1, 1}, {1, 2, 4, 8, 16}, {0, 0, 0, 0, 1}};
  for (const std::vector<double>& values : cases) check_against(bootstrap_ci95(values), all_resamples(values), kResamplesDrawn);
}

TEST_CASE("intervals: the same of ratios, where resamples without a base do not count") {
  const std::vector<std::pair<std::vector<double>, std::vector<double>>> cases = {
      {{0.5, 0.25}, {1, 0.5}},
      {{1, 0, 1}, {1, 1, 1}},
      {{0.2, 0.9, 0.4, 0.1}, {0.5, 1, 0.8, 0.3}},
      {{1, 0, 0, 1, 1}, {1, 1, 0, 1, 0}},
      {{0.3, 0.6, 0.1, 0.2, 0.9}, {0.4, 0.5, 0.2, 0.9, 1}}};
  for (const auto& [values, base] : cases) {
    const std::vector<double> all = all_resamples(values, &base);
    const double counted = static_cast<double>(all.size()) / std::pow(values.size(), values.size());
    check_against(bootstrap_ratio_ci95(values, base), all, std::round(kResamplesDrawn * counted));
  }
  // a third of all resamples is left
  const std::vector<double> values = {0.2, 0.9, 0.4}, rare = {0, 0, 0.5};
  check_against(bootstrap_ratio_ci95(values, rare), all_resamples(values, &rare), kResamplesDrawn * 19 / 27);
}

TEST_CASE("intervals: numpy's resamples of 20 to 30 values") {
  for (const auto& one : golden::load("intervals.json")) {
    const auto values = one.at("values").get<std::vector<double>>();
    const Interval found = one.at("base").is_null() ? bootstrap_ci95(values)
                                                    : bootstrap_ratio_ci95(values, one.at("base").get<std::vector<double>>());
    CAPTURE(one.at("name").get<std::string>(), found.low, found.high);
    CHECK(found.low >= one.at("low")[0].get<double>() - 1e-9);
    CHECK(found.low <= one.at("low")[1].get<double>() + 1e-9);
    CHECK(found.high >= one.at("high")[0].get<double>() - 1e-9);
    CHECK(found.high <= one.at("high")[1].get<double>() + 1e-9);
  }
}

TEST_CASE("intervals: the same values give the same interval, and it goes with their scale") {
  const std::vector<double> values = {0.1, 0.7, 0.4, 0.9, 0.2, 0.65};
  std::vector<double> eightfold, mirrored;
  for (const double v : values) {
    eightfold.push_back(8 * v);
    mirrored.push_back(-v);
  }
  const Interval one = bootstrap_ci95(values), again = bootstrap_ci95(values), eight = bootstrap_ci95(eightfold),
                 minus = bootstrap_ci95(mirrored);
  CHECK(one.low == again.low);
  CHECK(one.high == again.high);
  CHECK(eight.low == 8 * one.low);
  CHECK(eight.high == 8 * one.high);
  CHECK(minus.low == -one.high);  // as many are cut off above as below
  CHECK(minus.high == -one.low);
  const Interval constant = bootstrap_ci95(std::vector<double>(7, 0.25)), itself = bootstrap_ratio_ci95(values, values);
  CHECK(constant.low == 0.25);
  CHECK(constant.high == 0.25);
  CHECK(itself.low == 1);
  CHECK(itself.high == 1);
  CHECK(std::isnan(bootstrap_ratio_ci95(values, std::vector<double>(6, 0)).low));
}

TEST_CASE("intervals: of many samples nearly 95 % have the true mean inside") {
  std::mt19937_64 rng(3);
  std::normal_distribution<double> draw(1, 2);
  constexpr int kSamples = 300;
  int inside = 0;
  for (int s = 0; s < kSamples; ++s) {
    std::vector<double> values(40);
    for (double& v : values) v = draw(rng);
    const Interval found = bootstrap_ci95(values);
    inside += found.low <= 1 && 1 <= found.high ? 1 : 0;
  }
  CHECK(inside >= 0.89 * kSamples);  // 94 % are expected of 40 values, give or take 1.4 %
  CHECK(inside <= 0.985 * kSamples);
}
