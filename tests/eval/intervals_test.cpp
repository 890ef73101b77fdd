#include "eval/intervals.hpp"

#include <cmath>
#include <vector>

#include "eval/estimates.hpp"
#include "eval/shares.hpp"
#include "tests/check.hpp"
#include "tests/eval/golden.hpp"
#include "tests/eval/units.hpp"

using namespace namm::eval;
using nlohmann::json;

namespace {

void check(const Interval& found, const json& expected) {
  CAPTURE(found.low, found.high, expected.dump());
  CHECK(found.low == Approx(expected[0].get<double>()).margin(1e-7));
  CHECK(found.high == Approx(expected[1].get<double>()).margin(1e-7));
}

TableValues table_of(const json& json) {
  return {json.at("population"), json.at("units"), json.at("values"), json.at("base")};
}

/// Calls `test` for every golden of a kind; there must be some.
template <typename Test>
void each(const std::string& kind, Test test) {
  int found = 0;
  for (const json& one : golden::load("intervals.json"))
    if (one.at("kind") == kind) {
      test(one);
      ++found;
    }
  REQUIRE(found > 0);
}

}  // namespace

TEST_CASE("intervals: the mean, and nothing of nothing") {
  const std::vector<double> values = {0.5, 1.25, -0.25, 2};
  CHECK(mean(values) == 0.875);
  CHECK(std::isnan(mean({})));
  CHECK(std::isnan(mean_of({}).interval.low));
  CHECK(std::isnan(share_interval(0, 0).low));
  CHECK(std::isnan(share_change_interval({}).low));
  CHECK(std::isnan(share_ratio_interval({}).low));
}

TEST_CASE("intervals: of means and of paired differences they are SciPy's") {
  each("t", [](const json& one) {
    const std::vector<double> values = one.at("values");
    const std::vector<TableValues> table = {{"", numbered(values.size()), values, one.at("base")}};
    check(mean_of(table).interval, one.at("mean"));
    const Estimate change = change_of(table);
    check(change.interval, one.at("change"));
    CHECK(change.p_value == Approx(one.at("p").get<double>()).epsilon(1e-9));
    CHECK(change.units == values.size());
  });
}

TEST_CASE("intervals: of a share they are SciPy's, of paired shares those of the published formulas") {
  each("share", [](const json& one) { check(share_interval(one.at("right"), one.at("count")), one.at("interval")); });
  each("paired", [](const json& one) {
    const std::vector<double> n = one.at("counts");
    const PairedCounts counts = {n[0], n[1], n[2], n[3]};
    check(share_change_interval(counts), one.at("change"));
    check(share_ratio_interval(counts), one.at("ratio"));
    TableValues table{"", numbered(static_cast<std::size_t>(counts.all())), {}, {}};
    for (std::size_t kind = 0; kind < 4; ++kind)
      for (int i = 0; i < n[kind]; ++i) {
        table.values.push_back(kind < 2 ? 1 : 0);
        table.base.push_back(kind % 2 == 0 && kind < 3 ? 1 : 0);
      }
    check(score_change_of({{table}}).interval, one.at("change"));
    const double p = one.at("p"), found = score_change_of({{table}}).p_value;  // of many disagreements it is drawn
    CHECK(found == Approx(p).epsilon(n[1] + n[2] <= 16 ? 1e-9 : 0.3));
    check(score_ratio_of({{table}}).interval, one.at("ratio"));
  });
}

TEST_CASE("intervals: every table of counts has its intervals, and they hold what was seen") {
  constexpr int kMost = 4;
  for (int code = 1; code < kMost * kMost * kMost * kMost; ++code) {
    const PairedCounts n = {static_cast<double>(code % kMost), static_cast<double>(code / kMost % kMost),
                            static_cast<double>(code / kMost / kMost % kMost), static_cast<double>(code / kMost / kMost / kMost)};
    CAPTURE(n.both, n.only_first, n.only_second, n.neither);
    const Interval change = share_change_interval(n), ratio = share_ratio_interval(n);
    CHECK(change.low < change.high);
    if (n.both + n.only_second == 0) {
      CHECK(std::isnan(ratio.low));
      continue;
    }
    const double seen = (n.both + n.only_first) / (n.both + n.only_second);
    CHECK(ratio.low <= seen);
    CHECK(ratio.high >= seen);
    CHECK(ratio.low < ratio.high);
    CHECK(std::isfinite(ratio.high));
  }
  for (const double count : {1.0, 1000.0, 1e5}) CHECK(share_ratio_interval({count, 0, 0, count}).high < 5);
}

TEST_CASE("intervals: prompts that come twice count once, as numpy has it from the definitions") {
  each("clustered", [](const json& one) {
    CAPTURE(one.at("name").get<std::string>());
    std::vector<TableValues> tables;
    for (const json& table : one.at("tables")) tables.push_back(table_of(table));
    const Estimate change = change_of(tables);
    check(change.interval, one.at("change"));
    CHECK(change.p_value == Approx(one.at("p").get<double>()).epsilon(1e-9));
    CHECK(change.units == one.at("units").get<std::size_t>());
    check(score_ratio_of(tables).interval, one.at("ratio"));
  });
  // the same prompts at two lengths, with the same outcome: twice the numbers, not a bit more known
  const TableValues once{"needle", numbered(6), {0.1, 0.4, 0.2, 0.9, 0.5, 0.3}, {0.5, 0.5, 0.6, 0.9, 0.8, 0.4}};
  const Estimate one = change_of({{once}}), twice = change_of({{once, once}});
  CHECK(twice.interval.low == Approx(one.interval.low));
  CHECK(twice.interval.high == Approx(one.interval.high));
  CHECK(twice.units == 6);
}

TEST_CASE("intervals: Holm's adjustment is that of statsmodels, and what is unknown does not count") {
  each("holm", [](const json& one) {
    std::vector<double> p = one.at("p");
    const std::vector<double> expected = one.at("adjusted"), found = holm_adjusted(p);
    for (std::size_t i = 0; i < p.size(); ++i) CHECK(found[i] == Approx(expected[i]).epsilon(1e-12));
    p.insert(p.begin(), kNan);
    const std::vector<double> with_unknown = holm_adjusted(p);
    CHECK(std::isnan(with_unknown[0]));
    CHECK(with_unknown[1] == found[0]);
  });
}

TEST_CASE("intervals: none is without width, and one prompt has none") {
  for (const double score : {0.0, 0.5, 1.0}) {
    CAPTURE(score);
    const std::vector<TableValues> same = {{"", numbered(20), std::vector<double>(20, score), std::vector<double>(20, 1)}};
    for (const Interval& interval : {score_of(same).interval, score_change_of(same).interval, score_ratio_of(same).interval}) {
      CHECK(interval.high - interval.low > 0.03);
      CHECK(interval.high - interval.low < 0.5);
    }
    if (score == 1)
      CHECK(score_change_of(same).p_value == 1);
    else
      CHECK(score_change_of(same).p_value < 0.001);
  }
  CHECK(std::isnan(change_of({{{"", numbered(20), std::vector<double>(20, -1.5), std::vector<double>(20, -1.5)}}}).interval.low));
  const std::vector<TableValues> one = {{"", numbered(1), {0.3}, {0.6}}};
  CHECK(std::isnan(mean_of(one).interval.low));
  CHECK(std::isnan(change_of(one).p_value));
  CHECK(mean_of(one).value == 0.3);
}

TEST_CASE("intervals: tables in which all prompts came out alike are not certain, and do not outvote others") {
  const auto table = [](const std::string& population, std::size_t count, double value, double base) {
    return TableValues{population, numbered(count), std::vector<double>(count, value), std::vector<double>(count, base)};
  };
  // one of five tasks lost both of its prompts: two signs
  const std::vector<TableValues> one_lost = {table("a", 2, 1, 1), table("b", 2, 1, 1), table("c", 2, 1, 1), table("d", 2, 1, 1),
                                             table("e", 2, 0, 1)};
  CHECK(score_change_of(one_lost).p_value == Approx(0.5));
  // changes that cancel, to rounding
  const std::vector<TableValues> cancelled = {table("a", 7, 0.5, 0.3), table("b", 7, 0.1, 0.3), table("c", 7, 0.5, 0.5)};
  CHECK(score_change_of(cancelled).p_value > 0.5);
  // two prompts decide half of the mean
  const std::vector<TableValues> uneven = {table("a", 100, 1, 1), table("b", 2, 0, 1)};
  CHECK(score_of(uneven).interval.high > 0.75);
  CHECK(score_change_of(uneven).interval.high > -0.25);
  // never right, at two lengths
  const std::vector<TableValues> never = {table("a", 20, 0, 1), table("a", 20, 0, 1)};
  CHECK(score_ratio_of(never).interval.low == 0);
  CHECK(score_ratio_of(never).interval.high > 0.1);
  // the same answers to the same 20 prompts at two lengths are no more evidence than at one
  TableValues lost{"a", numbered(20), std::vector<double>(20, 1), std::vector<double>(20, 1)};
  for (std::size_t i = 0; i < 4; ++i) lost.values[i] = 0;
  CHECK(score_change_of({{lost}}).p_value == Approx(0.125));
  CHECK(score_change_of({{lost, lost}}).p_value == Approx(0.125));
}

TEST_CASE("intervals: a ratio has no interval where the full cache's score cannot be told from 0, and no value where it is 0") {
  CHECK(std::isnan(score_ratio_of({{{"", numbered(3), {0.1, 0, 0.05}, {0, 0, 0.2}}}}).interval.low));
  CHECK(std::isnan(score_ratio_of({{{"", numbered(3), {1, 0, 1}, {0, 0, 0}}}}).value));
  // sum by sum: a table in which the full cache gets next to nothing does not decide
  const std::vector<TableValues> tables = {{"a", numbered(4), {0.5, 0.5, 0.6, 0.6}, {1, 1, 1, 1}},
                                           {"b", numbered(4), {0.06, 0.07, 0.05, 0.06}, {0.02, 0.02, 0.02, 0.02}},
                                           {"c", numbered(4), {0, 0, 0, 0}, {0, 0, 0, 0}}};
  CHECK(score_ratio_of(tables).value == Approx(0.61 / 1.02));
}
