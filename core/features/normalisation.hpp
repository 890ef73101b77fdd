#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace namm {

/// Statistics by which raw features are normalised: (x - mean) / max(sqrt(variance), 1e-7) (spec section 3). Frozen into the
/// policy file. Empty = identity.
struct Normalisation {
  std::vector<float> mean;
  std::vector<float> variance;  ///< population variance
  bool identity() const { return mean.empty(); }
  friend bool operator==(const Normalisation&, const Normalisation&) = default;
};

/// Gathers mean and variance of rows of values, streaming and in double (Welford; merging after Chan, Golub and LeVeque 1979).
/// Deterministic: the result depends on the order of add() and merge() only.
class NormalisationAccumulator {
 public:
  explicit NormalisationAccumulator(std::size_t width) : mean_(width), squares_(width) {}
  /// rows: [n][width] row-major; every row has equal weight. Throws std::invalid_argument if the size is no multiple of the
  /// width.
  void add(std::span<const float> rows);
  /// Throws std::invalid_argument on a different width.
  void merge(const NormalisationAccumulator& other);
  std::size_t width() const { return mean_.size(); }
  std::int64_t count() const { return count_; }
  /// Mean 0 and variance 1 while nothing was added.
  Normalisation result() const;

 private:
  std::int64_t count_ = 0;
  std::vector<double> mean_;
  std::vector<double> squares_;  // sum of squared distances from the mean
};

}  // namespace namm
