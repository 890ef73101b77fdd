#pragma once
#include <Eigen/Core>

#include "namm/strategy.hpp"

namespace namm::evolve {

/// Beyond these step sizes a run has diverged or converged long ago; the limits keep every number finite.
inline constexpr double kSmallestStep = 1e-150, kLargestStep = 1e32;

/// Where a strategy begins: settings.mean, or zeros. Throws std::invalid_argument if the step size is not positive, or the start
/// has another dimension or numbers that are not finite.
Eigen::VectorXd start_of(const StrategySettings& settings);

/// Throws std::invalid_argument on n < 1 or λ < 2.
void check_shape(std::size_t dimension, int population);

/// Throws std::invalid_argument unless there is one value per candidate.
void check_values(std::size_t values, int population);

}  // namespace namm::evolve
