#pragma once
#include <cstddef>
#include <span>

namespace namm::calibrate {

/// How evenly a head attends: how many tokens a query's attention is worth (the exponential of its entropy) as a share of those
/// that it could have gone to, mean over queries, each weighted by the attention that went there. 1: all alike. A head that is
/// even adds a mean over the text to the model, and a biased sample of its tokens misleads it (docs/calibrate.md).
class Evenness {
 public:
  /// Queries with fewer tokens say nothing, and are not counted: of few, any attention is even.
  static constexpr std::size_t kFewest = 64;

  /// One query's attention to some tokens, which need not add up to 1.
  void add(std::span<const float> attention);
  void add(const Evenness& other);
  /// From 0 to 1; 0 before a query with kFewest tokens.
  double value() const { return attended_ > 0 ? even_ / attended_ : 0; }

  /// Sums over the queries: attention, and attention times evenness. What checkpoints hold.
  double attended() const { return attended_; }
  double even() const { return even_; }
  /// From such sums. Throws std::invalid_argument unless 0 <= even <= attended, both finite.
  static Evenness of(double attended, double even);

 private:
  double attended_ = 0, even_ = 0;
};

}  // namespace namm::calibrate
