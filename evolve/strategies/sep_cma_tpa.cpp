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

/// (Rank of the second - rank of the first) / (λ - 1): 1 if the first is the best and the second the worst. Equal values are of
/// the mean of their ranks, so that a tie of the two says nothing.
double two_point_result(std::span<const double> values) {
  const auto twice_rank = [&](double point) {
    int rank = 0;
    for (const double value : values) rank += 2 * is_better(value, point) + is_equal(value, point);
    return rank;
  };
  return static_cast<double>(twice_rank(values[1]) - twice_rank(values[0])) / static_cast<double>(2 * (values.size() - 1));
}

/// What the step of the mean is worth in candidates: 1 / its variance in units of a draw's. Halves of a pair cancel. 0 if all do.
double effective_mass(const std::vector<double>& weights) {
  double squares = 0;
  for (std::size_t k = 0; k < weights.size(); k += 2) {
    const double net = weights[k] - (k + 1 < weights.size() ? weights[k + 1] : 0);
    squares += net * net;
  }
  return squares > 0 ? 1 / squares : 0;
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
  const bool tested = tests();
  const SharedWeights parents = share_pair_weights(values, c.weights);
  const double mu_eff = parents.tied ? effective_mass(parents.of) : c.mu_eff;
  if (mu_eff == 0) {  // every pair is tied: the mean stays, and there is nothing to learn from
    if (tested) follow(values);
    shift_.setZero();
    return;
  }
  Eigen::VectorXd weights = as_vector(parents.of);
  const Eigen::MatrixXd steps = colour(draws());
  const Eigen::VectorXd shift = steps * weights;
  mean_ += step_size() * shift;
  p_c_ = (1 - c.c_c) * p_c_ + std::sqrt(c.c_c * (2 - c.c_c) * mu_eff) * shift;
  // The test pair is no draw from the distribution: learnt from, it would stretch it along every slope.
  if (tested) weights.head(2).setZero();
  const double decay = 1 - c.c_1 - c.c_mu * weights.sum();
  variances_ = decay * variances_ + c.c_1 * p_c_.cwiseAbs2() + c.c_mu * (steps.cwiseAbs2() * weights);
  variances_ = variances_.cwiseMax(kSmallestVariance).cwiseMin(kLargestVariance);
  if (tested) follow(values);
  if (tested && population() < 4)
    shift_.setZero();
  else
    shift_ = shift;
}

void SepCmaTpa::follow(std::span<const double> values) {
  trend_ += kTrendRate * (two_point_result(values) - trend_);
  scale_step(std::exp(trend_ / std::sqrt(static_cast<double>(mean_.size()))));
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
