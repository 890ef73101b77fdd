#pragma once
#include <span>
#include <vector>

namespace namm::evolve {

/// Indices of `values` from best (lowest) to worst. Ties keep their order; NaN is worse than everything, +infinity included.
std::vector<int> rank_ascending(std::span<const double> values);

}  // namespace namm::evolve
