#include "eval/intervals.hpp"

#include <algorithm>
#include <boost/math/distributions/normal.hpp>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>
#include <numeric>

namespace namm::eval {

double mean(std::span<const double> values) {
  if (values.empty()) return kNan;
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double normal_quantile() {
  static const double z = boost::math::quantile(boost::math::normal(), 1 - (1 - kCoverage) / 2);
  return z;
}

double t_quantile(double degrees_of_freedom) {
  if (std::isinf(degrees_of_freedom)) return normal_quantile();
  if (!(degrees_of_freedom > 0)) return kNan;
  return boost::math::quantile(boost::math::students_t(degrees_of_freedom), 1 - (1 - kCoverage) / 2);
}

double t_p_value(double t, double degrees_of_freedom) {
  if (!(degrees_of_freedom > 0) || std::isnan(t)) return kNan;
  if (std::isinf(t)) return 0;
  if (std::isinf(degrees_of_freedom)) return 2 * boost::math::cdf(boost::math::complement(boost::math::normal(), std::abs(t)));
  return 2 * boost::math::cdf(boost::math::complement(boost::math::students_t(degrees_of_freedom), std::abs(t)));
}

std::vector<double> holm_adjusted(std::span<const double> p_values) {
  std::vector<std::size_t> known;
  for (std::size_t i = 0; i < p_values.size(); ++i)
    if (!std::isnan(p_values[i])) known.push_back(i);
  std::stable_sort(known.begin(), known.end(), [&](std::size_t a, std::size_t b) { return p_values[a] < p_values[b]; });
  std::vector<double> out(p_values.size(), kNan);
  double most = 0;
  for (std::size_t k = 0; k < known.size(); ++k) {
    most = std::max(most, p_values[known[k]] * static_cast<double>(known.size() - k));
    out[known[k]] = std::min(1.0, most);
  }
  return out;
}

}  // namespace namm::eval
