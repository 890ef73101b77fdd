// Functions that strategies are tried on, each with its least value, 0, at the origin or (rosenbrock) at ones.
#pragma once

#include <Eigen/Core>

#include <algorithm>
#include <cmath>

namespace namm::test {

inline double sphere(const Eigen::VectorXd& x) {
  return x.squaredNorm();
}

/// Axes whose weights rise from 1 to 10^digits.
inline double ellipsoid(const Eigen::VectorXd& x, double digits) {
  double sum = 0;
  const double last = std::max<double>(1, static_cast<double>(x.size() - 1));
  for (Eigen::Index i = 0; i < x.size(); ++i) sum += std::pow(10.0, digits * static_cast<double>(i) / last) * x(i) * x(i);
  return sum;
}

inline double rosenbrock(const Eigen::VectorXd& x) {
  double sum = 0;
  for (Eigen::Index i = 0; i + 1 < x.size(); ++i) sum += 100 * std::pow(x(i + 1) - x(i) * x(i), 2) + std::pow(1 - x(i), 2);
  return sum;
}

}  // namespace namm::test
