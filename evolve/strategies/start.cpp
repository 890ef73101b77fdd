#include "evolve/strategies/start.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>

namespace namm::evolve {

Eigen::VectorXd start_of(const StrategySettings& settings) {
  if (!(settings.step_size > 0) || !std::isfinite(settings.step_size)) {
    throw std::invalid_argument("step size: must be positive and finite, is " + std::to_string(settings.step_size) +
                                "; the published runs use 0.065");
  }
  if (!settings.mean.empty() && settings.mean.size() != settings.dimension) {
    throw std::invalid_argument("start: must have one number per parameter (" + std::to_string(settings.dimension) + "), has " +
                                std::to_string(settings.mean.size()) + "; leave it empty for zeros");
  }
  if (!std::all_of(settings.mean.begin(), settings.mean.end(), [](double v) { return std::isfinite(v); })) {
    throw std::invalid_argument("start: every number must be finite, one is not; check the policy it comes from");
  }
  const auto n = static_cast<Eigen::Index>(settings.dimension);
  if (settings.mean.empty()) return Eigen::VectorXd::Zero(n);
  return Eigen::Map<const Eigen::VectorXd>(settings.mean.data(), n);
}

void check_shape(std::size_t dimension, int population) {
  if (dimension < 1) throw std::invalid_argument("dimension: must be at least 1, is 0; give the policy's number of parameters");
  if (population < 2) {
    throw std::invalid_argument("population: must be at least 2 (one to prefer, one to compare with), is " +
                                std::to_string(population) + "; give 0 for the default");
  }
}

void check_values(std::size_t values, int population) {
  if (values != static_cast<std::size_t>(population)) {
    throw std::invalid_argument("tell: needs one value per candidate (" + std::to_string(population) + "), got " +
                                std::to_string(values) + "; evaluate every column of ask()");
  }
}

}  // namespace namm::evolve
