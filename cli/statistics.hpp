#pragma once
#include <span>

namespace namm::cli {

/// Mean; NaN if empty.
double mean(std::span<const double> values);

struct Interval {
  double low, high;
};

/// 95 % bootstrap interval of the mean (percentile method, 2,000 resamples, fixed seed: the same values give the same interval).
/// NaN if empty.
Interval bootstrap_ci95(std::span<const double> values);

}  // namespace namm::cli
