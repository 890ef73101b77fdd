#include "eval/shares.hpp"

#include <algorithm>
#include <cmath>

namespace namm::eval {

Interval share_interval(double right, double all) {
  if (!(all > 0)) return {};
  const double z = normal_quantile(), squared = z * z, middle = right + squared / 2;
  const double half = z * std::sqrt(squared / 4 + right * std::max(0.0, 1 - right / all));
  return {std::max(0.0, (middle - half) / (all + squared)), std::min(1.0, (middle + half) / (all + squared))};
}

Interval share_change_interval(const PairedCounts& counts) {
  const double all = counts.all();
  if (!(all > 0)) return {};
  const double first = (counts.only_first + 1) / (all + 2), second = (counts.only_second + 1) / (all + 2);
  const double change = first - second;
  const double half = normal_quantile() * std::sqrt((first + second - change * change) / (all + 2));
  return {std::max(-1.0, change - half), std::min(1.0, change + half)};
}

}  // namespace namm::eval
