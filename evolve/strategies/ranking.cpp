#include "evolve/strategies/ranking.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace namm::evolve {

bool is_better(double a, double b) {
  return !std::isnan(a) && (std::isnan(b) || a < b);
}

std::vector<int> rank_ascending(std::span<const double> values) {
  std::vector<int> order(values.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return is_better(values[a], values[b]); });
  return order;
}

std::vector<int> best_of_pairs(std::span<const double> values) {
  std::vector<bool> seen((values.size() + 1) / 2, false);
  std::vector<int> best;
  for (const int index : rank_ascending(values)) {
    const auto pair = static_cast<std::size_t>(index / 2);
    if (!seen[pair]) best.push_back(index);
    seen[pair] = true;
  }
  return best;
}

}  // namespace namm::evolve
