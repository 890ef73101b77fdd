#pragma once
#include <span>
#include <vector>

namespace namm::evolve {

/// Whether `a` is the better (lower) value. NaN is worse than everything, +infinity included, and no better than NaN.
bool is_better(double a, double b);

/// Indices of `values` from best to worst. Ties keep their order.
std::vector<int> rank_ascending(std::span<const double> values);

/// Whether neither is better; NaN equals NaN.
bool is_equal(double a, double b);

/// What candidates weigh, by their ranks and not by their order.
struct SharedWeights {
  std::vector<double> of;  ///< one per candidate
  bool tied = false;       ///< ties changed weights: an effective mass of the weights by rank does not hold for these
};

/// Weights of candidates from weights of ranks, best first, one per value: candidates of equal value share the mean of the
/// weights of their ranks, which is what ties broken at random come to on average. Where no values are equal these are the given
/// weights, bit for bit.
SharedWeights share_weights(std::span<const double> values, std::span<const double> by_rank);

/// The same for pairs (2k, 2k + 1), a last one without partner included, ranked by their better values; `by_rank` has at least
/// ceil(size / 2) weights. A pair's weight is that of its better candidate; of equal ones each has half.
SharedWeights share_pair_weights(std::span<const double> values, std::span<const double> by_rank);

}  // namespace namm::evolve
