#include "evolve/strategies/ranking.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace namm::evolve {

std::vector<int> rank_ascending(std::span<const double> values) {
  std::vector<int> order(values.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
    if (std::isnan(values[a])) return false;
    return std::isnan(values[b]) || values[a] < values[b];
  });
  return order;
}

}  // namespace namm::evolve
