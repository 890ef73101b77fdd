#include "eval/clusters.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace namm::eval {
namespace {

/// What rounding leaves of differences of nothing.
constexpr double kRounding = 1e-12;

double base_of(const TableValues& table, std::size_t i) {
  return table.base.empty() ? 0.0 : table.base[i];
}

/// How the squares of deviations from a weighted mean are distributed, for weights that add up to 1 and values of equal variance:
/// their sum of w^2 (x - mean)^2 is a quadratic form M, of which trace(M) is the expectation per variance.
struct QuadraticForm {
  double variance = 0, trace = 0, trace_of_square = 0;

  explicit QuadraticForm(const std::vector<double>& weights) {
    double w2 = 0, w3 = 0, w4 = 0, w5 = 0;  // sums of powers
    for (const double w : weights) {
      w2 += w * w;
      w3 += w * w * w;
      w4 += w * w * w * w;
      w5 += w * w * w * w * w;
    }
    // M = D - a w' - w a' + s w w', with a = w^2, D = diag(a), s = sum of a
    variance = w2;
    trace = w2 - 2 * w3 + w2 * w2;
    const double of_products = -2 * w5 + w2 * w4;                                             // trace of D (M - D)
    const double of_rest = 2 * w3 * w3 + 2 * w2 * w4 + w2 * w2 * w2 * w2 - 4 * w2 * w3 * w2;  // trace of (M - D)^2
    trace_of_square = w4 + 2 * of_products + of_rest;
  }
};

}  // namespace

Clusters::Clusters(std::span<const TableValues> tables, bool shares) : tables_(tables), shares_(shares) {
  for (const TableValues& table : tables) add(table);
}

void Clusters::add(const TableValues& table) {
  const auto count = static_cast<double>(table.values.size()), all = static_cast<double>(tables_.size());
  double values = 0, bases = 0;
  for (std::size_t i = 0; i < table.values.size(); ++i) {
    values += table.values[i];
    bases += base_of(table, i);
  }
  value_ += values / count / all;
  base_ += bases / count / all;
  for (std::size_t i = 0; i < table.values.size(); ++i) {
    Unit& unit = populations_[table.population][table.units[i]];
    unit.value += (table.values[i] - values / count) / count / all;
    unit.base += (base_of(table, i) - bases / count) / count / all;
    unit.change += (table.values[i] - base_of(table, i)) / count / all;
    unit.weight += 1 / count;
  }
}

std::size_t Clusters::units() const {
  double sum = 0;
  for (const auto& [population, units] : populations_) {
    double weights = 0, squares = 0;
    for (const auto& [name, unit] : units) {
      weights += unit.weight;
      squares += unit.weight * unit.weight;
    }
    sum += weights * weights / squares;
  }
  return static_cast<std::size_t>(std::lround(sum));
}

Clusters::Spread Clusters::spread(double a, double b) const {
  double variance = 0, squares = 0;
  for (const auto& [population, units] : populations_) {
    if (units.size() < 2) return {kNan, kNan};
    double sum = 0, all = 0;
    std::vector<double> weights;
    for (const auto& [name, unit] : units) all += unit.weight;
    for (const auto& [name, unit] : units) {
      sum += std::pow(a * unit.value + b * unit.base, 2);
      weights.push_back(unit.weight / all);
    }
    const QuadraticForm form(weights);
    const double one = sum * form.variance / form.trace;
    variance += one;
    squares += one * one * form.trace_of_square / (form.trace * form.trace);
  }
  if (variance < kRounding * kRounding) variance = squares = 0;
  if (shares_)
    for (const TableValues& table : tables_) {
      const auto of = [&](std::size_t i) { return a * table.values[i] + b * base_of(table, i); };
      bool alike = true;
      for (std::size_t i = 1; i < table.values.size(); ++i) alike = alike && std::abs(of(i) - of(0)) <= kRounding;
      const double z = normal_quantile(), scale = std::max(std::abs(a), std::abs(b)) / static_cast<double>(tables_.size());
      if (alike) variance += std::pow(scale * z / (static_cast<double>(table.values.size()) + z * z), 2);
    }
  return {variance, squares > 0 ? variance * variance / squares : std::numeric_limits<double>::infinity()};
}

std::vector<double> Clusters::changes() const {
  std::vector<double> out;
  for (const auto& [population, units] : populations_)
    for (const auto& [name, unit] : units) out.push_back(std::abs(unit.change) <= kRounding ? 0 : unit.change);
  return out;
}

}  // namespace namm::eval
