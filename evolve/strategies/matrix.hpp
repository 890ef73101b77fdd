#pragma once
#include <vector>

#include <Eigen/Core>

#include "namm/strategy.hpp"

/// Between the numbers of the public interface and Eigen's matrices, which stay out of it.
namespace namm::evolve {

/// One candidate a column.
inline Candidates columns_of(const Eigen::MatrixXd& matrix) {
  return {matrix.data(), static_cast<std::size_t>(matrix.rows()), static_cast<std::size_t>(matrix.cols())};
}

/// dimension × count, no copy: valid as long as the candidates.
inline Eigen::Map<const Eigen::MatrixXd> as_matrix(const Candidates& candidates) {
  return {candidates.data, static_cast<Eigen::Index>(candidates.dimension), static_cast<Eigen::Index>(candidates.count)};
}

inline std::vector<double> numbers_of(const Eigen::VectorXd& vector) {
  return {vector.data(), vector.data() + vector.size()};
}

inline Eigen::VectorXd as_vector(const std::vector<double>& numbers) {
  return Eigen::Map<const Eigen::VectorXd>(numbers.data(), static_cast<Eigen::Index>(numbers.size()));
}

}  // namespace namm::evolve
