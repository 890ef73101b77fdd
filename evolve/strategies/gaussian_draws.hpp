#pragma once
#include <cstdint>
#include <string>

#include <Eigen/Dense>
#include <boost/random/mersenne_twister.hpp>
#include <boost/random/normal_distribution.hpp>

namespace namm::evolve {

/// Standard normal numbers that are the same on every platform (Boost.Random: mt19937_64 and the ziggurat normal distribution).
class GaussianDraws {
 public:
  explicit GaussianDraws(std::uint64_t seed) : engine_(seed) {}

  /// Fills `out` column by column.
  void fill(Eigen::MatrixXd& out);

  /// Engine and distribution, with whatever the distribution has cached; the next draws depend on nothing else.
  std::string state() const;
  /// Throws std::runtime_error if `state` was not written by state(); this object is then unchanged.
  void restore(const std::string& state);

 private:
  boost::random::mt19937_64 engine_;
  boost::random::normal_distribution<double> normal_;
};

}  // namespace namm::evolve
