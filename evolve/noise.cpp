#include "evolve/noise.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace namm::evolve {
namespace {

constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();

/// Variance of the rest per value, rows = prompts, columns = candidates.
double rest_variance(const std::vector<std::vector<double>>& rows) {
  const std::size_t prompts = rows.size(), candidates = rows.front().size();
  std::vector<double> columns(candidates);
  double all = 0;
  for (const auto& row : rows) {
    for (std::size_t k = 0; k < candidates; ++k) columns[k] += row[k] / static_cast<double>(prompts);
  }
  for (const double column : columns) all += column / static_cast<double>(candidates);
  double squares = 0;
  for (const auto& row : rows) {
    double mean = 0;
    for (const double value : row) mean += value / static_cast<double>(candidates);
    for (std::size_t k = 0; k < candidates; ++k) {
      const double rest = row[k] - mean - columns[k] + all;
      squares += rest * rest;
    }
  }
  return squares / static_cast<double>((prompts - 1) * (candidates - 1));
}

}  // namespace

double reevaluation_noise(std::span<const TaskValues> tasks) {
  bool single = false;
  std::vector<std::vector<double>> together;
  for (const TaskValues& task : tasks) {
    single = single || task.prompts.size() < 2;
    for (std::vector<double> row : task.prompts) {
      for (double& value : row) value *= task.weight;
      together.push_back(std::move(row));
    }
  }
  if (together.size() < 2 || together.front().size() < 2) return kUnknown;
  if (!std::all_of(together.begin(), together.end(), [&](const auto& row) {
        return row.size() == together.front().size() &&
               std::all_of(row.begin(), row.end(), [](double v) { return std::isfinite(v); });
      }))
    return kUnknown;
  if (single) return std::sqrt(rest_variance(together) / static_cast<double>(together.size()));
  double sum = 0;
  for (const TaskValues& task : tasks)
    sum += task.weight * task.weight * rest_variance(task.prompts) / static_cast<double>(task.prompts.size());
  return std::sqrt(sum) / static_cast<double>(tasks.size());
}

double signal_to_noise(double spread, std::size_t candidates, double noise) {
  if (candidates < 2 || !std::isfinite(spread) || !(noise > 0)) return kUnknown;
  const double k = static_cast<double>(candidates);
  return std::sqrt(std::max(0.0, spread * spread * k / (k - 1) - noise * noise)) / noise;
}

}  // namespace namm::evolve
