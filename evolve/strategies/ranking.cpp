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

bool is_equal(double a, double b) {
  return !is_better(a, b) && !is_better(b, a);
}

SharedWeights share_weights(std::span<const double> values, std::span<const double> by_rank) {
  const std::vector<int> order = rank_ascending(values);
  SharedWeights out{std::vector<double>(values.size()), false};
  for (std::size_t first = 0, end = 0; first < order.size(); first = end) {
    const double value = values[order[first]];
    bool same = true;  // ranks of one weight: a mean would change its last bits
    double sum = 0;
    for (; end < order.size() && is_equal(values[order[end]], value); ++end) {
      same = same && by_rank[end] == by_rank[first];
      sum += by_rank[end];
    }
    const double share = same ? by_rank[first] : sum / static_cast<double>(end - first);
    for (std::size_t rank = first; rank < end; ++rank) out.of[order[rank]] = share;
    out.tied = out.tied || !same;
  }
  return out;
}

SharedWeights share_pair_weights(std::span<const double> values, std::span<const double> by_rank) {
  std::vector<double> better;
  for (std::size_t k = 0; k < values.size(); k += 2)
    better.push_back(k + 1 < values.size() && is_better(values[k + 1], values[k]) ? values[k + 1] : values[k]);
  const SharedWeights pairs = share_weights(better, by_rank);
  SharedWeights out{std::vector<double>(values.size()), pairs.tied};
  for (std::size_t k = 0; k < values.size(); ++k) {
    const double weight = pairs.of[k / 2];
    const std::size_t partner = k ^ 1;
    if (partner >= values.size() || is_better(values[k], values[partner])) {
      out.of[k] = weight;
    } else if (is_equal(values[k], values[partner]) && weight != 0) {
      out.of[k] = weight / 2;
      out.tied = true;
    }
  }
  return out;
}

}  // namespace namm::evolve
