#pragma once
#include <limits>
#include <span>

namespace namm::eval {

/// No value: unknown, or of nothing.
inline constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

/// Mean; NaN if empty.
double mean(std::span<const double> values);

struct Interval {
  double low, high;
};

/// 95 % bootstrap interval of the mean (percentile method, 2,000 resamples, fixed seed: the same values give the same interval).
/// NaN if empty.
Interval bootstrap_ci95(std::span<const double> values);

/// The same of mean(values) / mean(base), whose entries belong together in pairs (the same prompt under two policies). NaN if
/// empty; resamples whose base has no positive mean do not count, and if none has, NaN. Throws std::invalid_argument if the
/// lengths differ.
Interval bootstrap_ratio_ci95(std::span<const double> values, std::span<const double> base);

}  // namespace namm::eval
