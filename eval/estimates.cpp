#include "eval/estimates.hpp"

#include <algorithm>
#include <boost/math/tools/roots.hpp>
#include <cmath>
#include <set>

#include "eval/clusters.hpp"
#include "eval/shares.hpp"
#include "eval/sign_test.hpp"

namespace namm::eval {
namespace {

/// a * mean of the values + b * mean of the base.
Estimate linear(const Clusters& clusters, double a, double b) {
  Estimate out;
  out.units = clusters.units();
  if (out.units == 0) return out;
  out.value = a * clusters.value() + b * clusters.base();
  const Clusters::Spread spread = clusters.spread(a, b);
  if (!(spread.variance > 0)) return out;  // unknown, or all the same: there is nothing to tell the spread from
  const double error = std::sqrt(spread.variance), half = t_quantile(spread.degrees_of_freedom) * error;
  out.interval = {out.value - half, out.value + half};
  out.p_value = t_p_value(out.value / error, spread.degrees_of_freedom);
  return out;
}

bool right_or_wrong(std::span<const double> scores) {
  return std::all_of(scores.begin(), scores.end(), [](double s) { return s == 0 || s == 1; });
}

/// Whether there are several prompts, each one of its own, right or wrong.
bool are_shares(std::span<const TableValues> tables) {
  if (tables.size() != 1 || !right_or_wrong(tables[0].values) || !right_or_wrong(tables[0].base)) return false;
  const std::vector<std::string>& units = tables[0].units;
  return units.size() > 1 && std::set<std::string>(units.begin(), units.end()).size() == units.size();
}

PairedCounts counts_of(const TableValues& table) {
  PairedCounts out;
  for (std::size_t i = 0; i < table.values.size(); ++i) {
    const bool first = table.values[i] == 1, second = table.base[i] == 1;
    ++(first ? second ? out.both : out.only_first : second ? out.only_second : out.neither);
  }
  return out;
}

Interval within(const Interval& interval, double low, double high) {
  if (std::isnan(interval.low)) return interval;
  return {std::clamp(interval.low, low, high), std::clamp(interval.high, low, high)};
}

/// The ratios r for which mean of (value - r * base) is not significant.
Interval ratio_interval(const Clusters& clusters, double ratio) {
  const Clusters::Spread here = clusters.spread(1, -ratio);
  if (std::isnan(here.variance)) return {};
  const double t = t_quantile(here.degrees_of_freedom);
  const auto beyond = [&](double r) {
    return std::abs(clusters.value() - r * clusters.base()) - t * std::sqrt(clusters.spread(1, -r).variance);
  };
  const auto root = [&](double low, double high) {
    std::uintmax_t steps = 200;
    const auto found = boost::math::tools::bisect(beyond, low, high, boost::math::tools::eps_tolerance<double>(40), steps);
    return (found.first + found.second) / 2;
  };
  const double far = 1e9 * std::max(1.0, ratio);
  if (!(beyond(far) > 0)) return {};  // the base cannot be told from 0
  const double low = ratio > 0 && beyond(0) > 0 ? root(0, ratio) : 0;
  return {low, root(ratio, far)};
}

}  // namespace

Estimate mean_of(std::span<const TableValues> tables) {
  Estimate out = linear(Clusters(tables, false), 1, 0);
  out.p_value = kNan;
  return out;
}

Estimate change_of(std::span<const TableValues> tables) {
  return linear(Clusters(tables, false), 1, -1);
}

Estimate score_of(std::span<const TableValues> tables) {
  Estimate out = linear(Clusters(tables, true), 1, 0);
  out.p_value = kNan;
  const auto units = static_cast<double>(out.units);
  out.interval = are_shares(tables) ? share_interval(out.value * units, units) : within(out.interval, 0, 1);
  return out;
}

Estimate score_change_of(std::span<const TableValues> tables) {
  const Clusters clusters(tables, true);
  Estimate out = linear(clusters, 1, -1);
  if (out.units == 0) return out;
  out.interval = are_shares(tables) ? share_change_interval(counts_of(tables[0])) : within(out.interval, -1, 1);
  out.p_value = sign_test_p_value(clusters.changes());
  return out;
}

Estimate score_ratio_of(std::span<const TableValues> tables) {
  const Clusters clusters(tables, true);
  Estimate out;
  out.units = clusters.units();
  if (!(clusters.base() > 0)) return out;
  out.value = clusters.value() / clusters.base();
  out.interval = are_shares(tables) ? share_ratio_interval(counts_of(tables[0])) : ratio_interval(clusters, out.value);
  return out;
}

}  // namespace namm::eval
