#include <algorithm>
#include <boost/math/tools/roots.hpp>
#include <cmath>

#include "eval/shares.hpp"

namespace namm::eval {
namespace {

/// Probability that just one of two is right, as it is most likely if the first's share is `ratio` times the second's. Of the
/// cells `both` = (right - second) / ratio - second, `first` = right - second - both, `second`, which add up to `right`, the
/// share with any right, one is free; the likelihood is concave in it.
double likeliest_disagreement(const PairedCounts& counts, double ratio) {
  const double right = 1 - counts.neither / counts.all();
  const auto both = [&](double second) { return (right - second) / ratio - second; };
  const auto first = [&](double second) { return right - (right - second) / ratio; };
  const auto slope = [&](double second) {
    const auto term = [](double count, double weight, double cell) { return count == 0 ? 0.0 : count * weight / cell; };
    return term(counts.only_first, 1 / ratio, first(second)) + term(counts.only_second, 1, second) -
           term(counts.both, 1 / ratio + 1, both(second));
  };
  double low = std::max(0.0, right * (1 - ratio)), high = right / (1 + ratio);
  for (int i = 0; i < 100; ++i) {
    const double middle = (low + high) / 2;
    (slope(middle) > 0 ? low : high) = middle;
  }
  return first(low) + low;
}

/// Standard errors by which the shares are away from this ratio.
double score(const PairedCounts& counts, double ratio) {
  const double first = counts.both + counts.only_first, second = counts.both + counts.only_second;
  const double away = first - ratio * second;
  return away == 0 ? 0 : away / std::sqrt(counts.all() * ratio * std::max(1e-300, likeliest_disagreement(counts, ratio)));
}

/// Where the score, which falls with the ratio, is `wanted`.
double ratio_at(const PairedCounts& counts, double wanted, double low, double high) {
  const auto beyond = [&](double log_ratio) { return score(counts, std::exp(log_ratio)) - wanted; };
  std::uintmax_t steps = 200;
  const auto found =
      boost::math::tools::bisect(beyond, std::log(low), std::log(high), boost::math::tools::eps_tolerance<double>(40), steps);
  return std::exp((found.first + found.second) / 2);
}

}  // namespace

Interval share_ratio_interval(const PairedCounts& counts) {
  const double first = counts.both + counts.only_first, second = counts.both + counts.only_second;
  if (!(second > 0)) return {};
  constexpr double far = 1e9;  // times away from what was seen, and from 1: the score is beyond any quantile there
  const double z = normal_quantile(), ratio = std::max(first / second, 1 / far);
  return {first > 0 ? ratio_at(counts, z, std::min(1.0, ratio) / far, ratio) : 0,
          ratio_at(counts, -z, ratio, std::max(1.0, ratio) * far)};
}

}  // namespace namm::eval
