#include "evolve/strategies/sep_cma_tpa.hpp"

#include <cmath>
#include <stdexcept>

#include "evolve/strategies/ranking.hpp"
#include "evolve/strategies/state_fields.hpp"

namespace namm::evolve {
namespace {

constexpr double kTrendRate = 0.3;
// As the limits of the step size: they keep every number finite.
constexpr double kSmallestVariance = 1e-200, kLargestVariance = 1e200;

/// (Candidates better than the second minus candidates better than the first) / (λ - 1): 1 if the first is the best and the
/// second the worst. Equal values count for neither.
double two_point_result(std::span<const double> values) {
  int result = 0;
  for (const double value : values) result += is_better(value, values[1]) - is_better(value, values[0]);
  return static_cast<double>(result) / static_cast<double>(values.size() - 1);
}

}  // namespace

SepCmaTpa::SepCmaTpa(const StrategySettings& settings)
    : MirroredStrategy(settings),
      coefficients_(separable_coefficients(settings.dimension, settings.population)),
      variances_(Eigen::VectorXd::Ones(mean_.size())),
      p_c_(Eigen::VectorXd::Zero(mean_.size())),
      shift_(p_c_) {}

void SepCmaTpa::prepare(Eigen::MatrixXd& draws) {
  if (!tests()) return;
  const Eigen::VectorXd direction = shift_.cwiseQuotient(variances_.cwiseSqrt()).stableNormalized();
  draws.col(0) = draws.col(0).norm() * direction;
}

Eigen::MatrixXd SepCmaTpa::colour(const Eigen::MatrixXd& draws) const {
  return draws.array().colwise() * variances_.array().sqrt();
}

void SepCmaTpa::adapt(std::span<const double> values) {
  const CmaCoefficients& c = coefficients_;
  const std::vector<int> parents = best_of_pairs(values);
  Eigen::VectorXd weights = Eigen::VectorXd::Zero(population());
  for (int rank = 0; rank < c.mu; ++rank) weights(parents[static_cast<std::size_t>(rank)]) = c.weights[rank];
  const Eigen::MatrixXd steps = colour(draws());
  const Eigen::VectorXd shift = steps * weights;
  mean_ += step_size() * shift;
  p_c_ = (1 - c.c_c) * p_c_ + std::sqrt(c.c_c * (2 - c.c_c) * c.mu_eff) * shift;
  const bool tested = tests();
  // The test pair is no draw from the distribution: learnt from, it would stretch it along every slope.
  if (tested) weights.head(2).setZero();
  const double decay = 1 - c.c_1 - c.c_mu * weights.sum();
  variances_ = decay * variances_ + c.c_1 * p_c_.cwiseAbs2() + c.c_mu * (steps.cwiseAbs2() * weights);
  variances_ = variances_.cwiseMax(kSmallestVariance).cwiseMin(kLargestVariance);
  if (tested) {
    trend_ += kTrendRate * (two_point_result(values) - trend_);
    scale_step(std::exp(trend_ / std::sqrt(static_cast<double>(mean_.size()))));
  }
  if (tested && population() < 4)
    shift_.setZero();
  else
    shift_ = shift;
}

void SepCmaTpa::save(nlohmann::json& state) const {
  state["variances"] = field::from_vector(variances_);
  state["p_c"] = field::from_vector(p_c_);
  state["shift"] = field::from_vector(shift_);
  state["trend"] = trend_;
}

void SepCmaTpa::load(const nlohmann::json& state) {
  const Eigen::VectorXd variances = field::vector(state, "variances", dimension());
  const Eigen::VectorXd p_c = field::vector(state, "p_c", dimension());
  const Eigen::VectorXd shift = field::vector(state, "shift", dimension());
  const double trend = field::number(state, "trend");
  if (!(variances.minCoeff() > 0) || !(std::abs(trend) <= 1))
    throw std::runtime_error("saved state: fields 'variances' must be positive and 'trend' lie in [-1, 1]; the file is damaged");
  variances_ = variances;
  p_c_ = p_c;
  shift_ = shift;
  trend_ = trend;
}

}  // namespace namm::evolve
