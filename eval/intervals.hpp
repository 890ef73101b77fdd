#pragma once
#include <limits>
#include <span>
#include <vector>

namespace namm::eval {

/// No value: unknown, or of nothing.
inline constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

/// All intervals here and in records: 95 %, two-sided.
inline constexpr double kCoverage = 0.95;

struct Interval {
  double low = kNan, high = kNan;
};

/// Mean; NaN if empty.
double mean(std::span<const double> values);

/// Half the width of a normal interval per standard error: 1.96.
double normal_quantile();
/// Half the width of a t interval per standard error. NaN without degrees of freedom, normal with infinitely many.
double t_quantile(double degrees_of_freedom);
/// Two-sided p-value of Student's t. NaN without degrees of freedom.
double t_p_value(double t, double degrees_of_freedom);

/// p-values of one family as Holm (1979) adjusts them, in the order given: what is below 0.05 keeps the chance of a single false
/// claim among all of them below 5 %. Unknown ones (NaN) stay unknown and do not count.
std::vector<double> holm_adjusted(std::span<const double> p_values);

}  // namespace namm::eval
