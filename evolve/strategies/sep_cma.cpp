#include "evolve/strategies/sep_cma.hpp"

#include <stdexcept>

#include "evolve/strategies/state_fields.hpp"

namespace namm::evolve {

SepCma::SepCma(const StrategySettings& settings)
    : CumulativeStrategy(settings, separable_coefficients(settings.dimension, settings.population), kCmaesPackage) {
  distribution_.covariance = Eigen::MatrixXd::Ones(static_cast<Eigen::Index>(settings.dimension), 1);
}

Eigen::MatrixXd SepCma::colour(const Eigen::MatrixXd& draws) const {
  return draws.array().colwise() * distribution_.covariance.col(0).array().sqrt();
}

Eigen::MatrixXd SepCma::whiten(const Eigen::MatrixXd& steps) const {
  return steps.array().colwise() / distribution_.covariance.col(0).array().sqrt();
}

void SepCma::learn(const Eigen::MatrixXd& steps, const Eigen::MatrixXd&, const Eigen::VectorXd& weights, double decay) {
  auto variances = distribution_.covariance.col(0);
  variances =
      decay * variances + coefficients_.c_1 * distribution_.p_c.cwiseAbs2() + coefficients_.c_mu * (steps.cwiseAbs2() * weights);
}

void SepCma::save_covariance(nlohmann::json& state) const {
  state["variances"] = field::from_vector(distribution_.covariance.col(0));
}

void SepCma::load_covariance(const nlohmann::json& state, CmaDistribution& distribution) {
  distribution.covariance = field::vector(state, "variances", dimension());
  if (!(distribution.covariance.minCoeff() >= 0)) {
    throw std::runtime_error("saved state: field 'variances' must not be negative; the file is damaged");
  }
}

}  // namespace namm::evolve
