#include "eval/estimates.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "eval/shares.hpp"

namespace namm::eval {
namespace {

/// What rounding leaves of a standard error of nothing.
constexpr double kRounding = 1e-12;

/// What one prompt adds: two numbers, so that both sides of a ratio have their variances and what they share.
struct Pair {
  double value = 0, base = 0;
};

/// Means over tables, and how they vary between units.
class Clusters {
 public:
  explicit Clusters(std::span<const TableValues> tables) {
    for (const TableValues& table : tables) add(table, static_cast<double>(table.values.size() * tables.size()));
    for (const auto& [population, units] : of_) units_ += units.size();
  }
  Pair means() const { return means_; }
  std::size_t units() const { return units_; }

  struct Spread {
    double variance = 0, degrees_of_freedom = kNan;
  };
  /// Of a * mean of the values + b * mean of the base.
  Spread spread(double a, double b) const {
    double variance = 0, squares = 0;
    for (const auto& [population, units] : of_) {
      const auto count = static_cast<double>(units.size());
      if (count < 2) return {kNan, kNan};
      double sum = 0;
      for (const auto& [unit, pair] : units) sum += std::pow(a * pair.value + b * pair.base, 2);
      const double one = sum * count / (count - 1);
      variance += one;
      squares += one * one / (count - 1);
    }
    return {variance, variance > 0 ? variance * variance / squares : kNan};
  }
  /// Of the values with the base.
  double covariance() const { return (spread(1, 1).variance - spread(1, 0).variance - spread(0, 1).variance) / 2; }

 private:
  void add(const TableValues& table, double divisor) {
    const auto base_of = [&](std::size_t i) { return table.base.empty() ? 0.0 : table.base[i]; };
    const auto count = static_cast<double>(table.values.size());
    Pair mean;
    for (std::size_t i = 0; i < table.values.size(); ++i) {
      mean.value += table.values[i] / count;
      mean.base += base_of(i) / count;
    }
    const double weight = count / divisor;
    means_.value += mean.value * weight;
    means_.base += mean.base * weight;
    auto& units = of_[table.population];
    for (std::size_t i = 0; i < table.values.size(); ++i) {
      Pair& unit = units[table.units[i]];
      unit.value += (table.values[i] - mean.value) / divisor;
      unit.base += (base_of(i) - mean.base) / divisor;
    }
  }

  std::map<std::string, std::map<std::string, Pair>> of_;
  Pair means_;
  std::size_t units_ = 0;
};

Estimate linear(const Clusters& clusters, double a, double b) {
  const Clusters::Spread spread = clusters.spread(a, b);
  Estimate out;
  out.units = clusters.units();
  out.value = a * clusters.means().value + b * clusters.means().base;
  if (out.units == 0) return {};
  const double error = std::sqrt(spread.variance);
  if (error <= kRounding * std::max(1.0, std::abs(out.value))) {  // all the same: there is nothing to tell the spread from
    out.interval = {out.value, out.value};
    out.p_value = out.value == 0 ? 1 : kNan;
    return out;
  }
  const double half = t_quantile(spread.degrees_of_freedom) * error;
  out.interval = {out.value - half, out.value + half};
  out.p_value = t_p_value(out.value / error, spread.degrees_of_freedom);
  return out;
}

bool right_or_wrong(std::span<const double> scores) {
  return std::all_of(scores.begin(), scores.end(), [](double s) { return s == 0 || s == 1; });
}

/// Whether each prompt is one of its own, right or wrong.
bool are_shares(std::span<const TableValues> tables) {
  if (tables.size() != 1 || !right_or_wrong(tables[0].values) || !right_or_wrong(tables[0].base)) return false;
  return std::set<std::string>(tables[0].units.begin(), tables[0].units.end()).size() == tables[0].units.size();
}

PairedCounts counts_of(const TableValues& table) {
  PairedCounts out;
  for (std::size_t i = 0; i < table.values.size(); ++i) {
    const bool first = table.values[i] == 1, second = table.base[i] == 1;
    ++(first ? second ? out.both : out.only_first : second ? out.only_second : out.neither);
  }
  return out;
}

/// Of units that all behave alike, as if each were right both times.
PairedCounts alike(std::size_t units) {
  return {static_cast<double>(units), 0, 0, 0};
}

bool without_width(const Interval& interval) {
  return interval.low == interval.high;
}

Interval within(const Interval& interval, double low, double high) {
  if (std::isnan(interval.low)) return interval;
  return {std::clamp(interval.low, low, high), std::clamp(interval.high, low, high)};
}

}  // namespace

Estimate mean_of(std::span<const TableValues> tables) {
  Estimate out = linear(Clusters(tables), 1, 0);
  out.p_value = kNan;
  return out;
}

Estimate change_of(std::span<const TableValues> tables) {
  return linear(Clusters(tables), 1, -1);
}

Estimate score_of(std::span<const TableValues> tables) {
  Estimate out = mean_of(tables);
  const auto units = static_cast<double>(out.units);
  if (are_shares(tables) || without_width(out.interval))
    out.interval = share_interval(out.value * units, units);
  else
    out.interval = within(out.interval, 0, 1);
  return out;
}

Estimate score_change_of(std::span<const TableValues> tables) {
  Estimate out = change_of(tables);
  if (are_shares(tables)) {
    const PairedCounts counts = counts_of(tables[0]);
    out.interval = share_change_interval(counts);
    out.p_value = share_change_p_value(counts);
  } else if (without_width(out.interval)) {
    const Interval around = share_change_interval(alike(out.units));
    out.interval = within({out.value + around.low, out.value + around.high}, -1, 1);
    if (out.value != 0) out.p_value = std::pow(0.5, static_cast<double>(out.units) - 1);  // sign test
  } else {
    out.interval = within(out.interval, -1, 1);
  }
  return out;
}

Estimate score_ratio_of(std::span<const TableValues> tables) {
  const Clusters clusters(tables);
  const auto [value, base] = clusters.means();
  Estimate out;
  out.units = clusters.units();
  if (!(base > 0)) return out;
  out.value = value / base;
  if (are_shares(tables)) {
    out.interval = share_ratio_interval(counts_of(tables[0]));
    return out;
  }
  const Clusters::Spread spread = clusters.spread(1, -out.value);
  const double values = clusters.spread(1, 0).variance, bases = clusters.spread(0, 1).variance;
  if (std::sqrt(spread.variance) <= kRounding) {  // the same ratio for all
    const Interval around = share_ratio_interval(alike(out.units));
    out.interval = {out.value * around.low, out.value * around.high};
    return out;
  }
  // the ratios r for which mean of (value - r * base) is not significant: a r^2 - 2 b r + c <= 0
  const double t = t_quantile(spread.degrees_of_freedom);
  const double a = base * base - t * t * bases, b = value * base - t * t * clusters.covariance();
  const double c = value * value - t * t * values;
  const double root = std::sqrt(std::max(0.0, b * b - a * c));
  if (a > 0) out.interval = {std::max(0.0, (b - root) / a), (b + root) / a};
  return out;
}

}  // namespace namm::eval
