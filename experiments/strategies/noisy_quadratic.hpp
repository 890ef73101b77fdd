#pragma once
#include <cmath>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include <Eigen/Dense>

#include "evolve/strategies/gaussian_draws.hpp"
#include "evolve/strategies/matrix.hpp"
#include "namm/strategy.hpp"

/// A quadratic Σ h_i (x_i - o_i)² whose values carry noise. Curvatures h_i are spaced evenly in their logarithm from 1 to
/// `condition`, the optimum's coordinates are normal numbers times `distance`. A rotated one takes x and o through a random
/// orthogonal matrix: no parameter can be judged by itself.
struct NoisyQuadratic {
  std::size_t dimension = 0;
  double condition = 1;
  double distance = 1;
  double noise = 0;  ///< standard deviation of the noise over that of the values of a generation's candidates
  bool rotated = false;
};

/// The objective at the mean after `generations`, over that at the start (zeros), of a strategy with σ0 = 0.065.
inline double share_left(const NoisyQuadratic& setting, std::string_view name, int population, int generations,
                         std::uint64_t seed) {
  const auto n = static_cast<Eigen::Index>(setting.dimension);
  namm::evolve::GaussianDraws random(1000 + seed);
  Eigen::MatrixXd optimum(n, 1), rotation, errors(population, 1);
  random.fill(optimum);
  optimum *= setting.distance;
  if (setting.rotated) {
    rotation.resize(n, n);
    random.fill(rotation);
    rotation = Eigen::MatrixXd(rotation.householderQr().householderQ());
  }
  const Eigen::ArrayXd curvature = Eigen::ArrayXd::LinSpaced(n, 0, std::log(setting.condition)).exp();
  const auto exact = [&](const Eigen::MatrixXd& x) -> Eigen::VectorXd {
    const Eigen::MatrixXd away = x.colwise() - optimum.col(0);
    const Eigen::MatrixXd along = setting.rotated ? rotation * away : away;
    return (along.array().square().colwise() * curvature).colwise().sum().transpose();
  };
  namm::StrategySettings settings;
  settings.dimension = setting.dimension;
  settings.population = population;
  settings.seed = seed;
  const std::unique_ptr<namm::Strategy> strategy = namm::make_strategy(name, settings);
  const double start = exact(namm::evolve::as_vector(strategy->mean()))(0);
  for (int g = 0; g < generations; ++g) {
    Eigen::VectorXd values = exact(namm::evolve::as_matrix(strategy->ask()));
    random.fill(errors);
    values += setting.noise * std::sqrt((values.array() - values.mean()).square().mean()) * errors.col(0);
    strategy->tell({values.data(), static_cast<std::size_t>(population)});
  }
  return exact(namm::evolve::as_vector(strategy->mean()))(0) / start;
}
