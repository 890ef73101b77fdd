#pragma once
#include <span>
#include <vector>

namespace namm::evolve {

/// Whether `a` is the better (lower) value. NaN is worse than everything, +infinity included, and no better than NaN.
bool is_better(double a, double b);

/// Indices of `values` from best to worst. Ties keep their order.
std::vector<int> rank_ascending(std::span<const double> values);

/// The same of the better value of each pair (2k, 2k + 1): ceil(size / 2) indices, a last one without partner included.
std::vector<int> best_of_pairs(std::span<const double> values);

}  // namespace namm::evolve
