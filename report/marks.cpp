#include "report/marks.hpp"

#include "eval/intervals.hpp"

namespace namm::report {

std::vector<bool> differs_from_full(const ResultRows& rows, double eval::ResultRecord::*p_value) {
  std::vector<double> p_values;
  for (const eval::ResultRecord& r : rows)
    p_values.push_back(is_full(r) || r.independent < kLeastForMark ? eval::kNan : r.*p_value);
  std::vector<bool> out;
  for (const double p : eval::holm_adjusted(p_values)) out.push_back(p < 1 - eval::kCoverage);
  return out;
}

}  // namespace namm::report
