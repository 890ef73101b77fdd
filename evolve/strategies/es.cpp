#include "evolve/strategies/es.hpp"

#include <cmath>
#include <stdexcept>

#include "evolve/strategies/ranking.hpp"
#include "evolve/strategies/state_fields.hpp"

namespace namm::evolve {
namespace {

constexpr double kMomentumDecay = 0.9, kVarianceDecay = 0.999, kEpsilon = 1e-8;  // Adam's published constants

}  // namespace

AntitheticEs::AntitheticEs(const StrategySettings& settings) : MirroredStrategy(settings) {
  momentum_ = variance_ = Eigen::VectorXd::Zero(mean_.size());
}

void AntitheticEs::adapt(std::span<const double> values) {
  std::vector<double> by_rank;
  for (int rank = 0; rank < population(); ++rank)
    by_rank.push_back(static_cast<double>(rank) / static_cast<double>(population() - 1) - 0.5);
  const Eigen::VectorXd shares = as_vector(share_weights(values, by_rank).of);
  const Eigen::VectorXd gradient = draws() * shares / (step_size() * population());
  momentum_ = kMomentumDecay * momentum_ + (1 - kMomentumDecay) * gradient;
  variance_ = kVarianceDecay * variance_ + (1 - kVarianceDecay) * gradient.cwiseAbs2();
  const double age = static_cast<double>(generation() + 1);
  const double momentum_bias = 1 - std::pow(kMomentumDecay, age), variance_bias = 1 - std::pow(kVarianceDecay, age);
  mean_ -= (kRate * step_size() / momentum_bias * momentum_.array() / ((variance_.array() / variance_bias).sqrt() + kEpsilon))
               .matrix();
}

void AntitheticEs::save(nlohmann::json& state) const {
  state["momentum"] = field::from_vector(momentum_);
  state["variance"] = field::from_vector(variance_);
}

void AntitheticEs::load(const nlohmann::json& state) {
  const Eigen::VectorXd momentum = field::vector(state, "momentum", dimension());
  const Eigen::VectorXd variance = field::vector(state, "variance", dimension());
  if (!(variance.minCoeff() >= 0))
    throw std::runtime_error("saved state: field 'variance' must not be negative; the file is damaged");
  momentum_ = momentum;
  variance_ = variance;
}

}  // namespace namm::evolve
