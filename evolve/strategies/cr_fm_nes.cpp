#include "evolve/strategies/cr_fm_nes.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "evolve/strategies/ranking.hpp"
#include "evolve/strategies/state_fields.hpp"

namespace namm::evolve {
namespace {

// The natural gradient's matrix is as well conditioned as 1 / |v|: at 1e4 half of the digits are left.
constexpr double kLongestV = 1e4, kSmallestFactor = 0.1;

/// The a at which (1 + a²) exp(a² / 2) / 0.24 - 10 is n (the paper's h^(-1)); increasing, so bisection finds it.
double distance_constant(double n) {
  double low = 0, high = 30;
  for (int i = 0; i < 80; ++i) {
    const double middle = (low + high) / 2, square = middle * middle;
    ((1 + square) * std::exp(square / 2) / 0.24 - 10 < n ? low : high) = middle;
  }
  return low;
}

/// Weights before normalisation, best first: ln(λ/2 + 1) - ln i where positive.
std::vector<double> raw_weights(int population) {
  std::vector<double> weights;
  for (int i = 0; i < population; ++i) weights.push_back(std::max(0.0, std::log(population / 2.0 + 1) - std::log(i + 1.0)));
  return weights;
}

/// To a sum of 0: what random ranks would do to the distribution is nothing.
Eigen::VectorXd centred(const Eigen::VectorXd& weights) {
  return weights.array() / weights.sum() - 1.0 / static_cast<double>(weights.size());
}

}  // namespace

CrFmNes::Constants CrFmNes::constants(double n, double population) {
  const Eigen::VectorXd raw = as_vector(raw_weights(static_cast<int>(population)));
  Constants c{};
  c.mu_eff = raw.sum() * raw.sum() / raw.squaredNorm();
  c.c_sigma = (c.mu_eff + 2) / (n + c.mu_eff + 5);
  c.c_c = (4 + c.mu_eff / n) / (n + 4 + 2 * c.mu_eff / n);
  c.c_1 = std::max(0.0, 2 / ((n + 1.3) * (n + 1.3) + c.mu_eff) * (n - 5) / 6);  // none for n <= 5
  c.chi_n = std::sqrt(n) * (1 - 1 / (4 * n) + 1 / (21 * n * n));
  c.eta_b = std::tanh((std::min(0.02 * population, 3 * std::log(n)) + 5) / (0.23 * n + 25));
  c.eta_stagnating = std::tanh((0.024 * population + 0.7 * n + 20) / (n + 12));
  c.eta_converging = 2 * std::tanh((0.025 * population + 0.75 * n + 10) / (n + 4));
  c.alpha = distance_constant(n) * std::min(1.0, std::sqrt(population / n));
  return c;
}

CrFmNes::CrFmNes(const StrategySettings& settings)
    : MirroredStrategy(settings), c_(constants(static_cast<double>(settings.dimension), settings.population)) {
  Eigen::MatrixXd direction(mean_.size(), 1);
  random_.fill(direction);
  v_ = direction.col(0) / std::sqrt(static_cast<double>(mean_.size()));
  d_ = Eigen::VectorXd::Ones(mean_.size());
  p_sigma_ = p_c_ = Eigen::VectorXd::Zero(mean_.size());
}

Eigen::MatrixXd CrFmNes::along_v(const Eigen::MatrixXd& draws) const {
  const Eigen::VectorXd bar = v_.normalized();
  return draws + (std::sqrt(1 + v_.squaredNorm()) - 1) * bar * (bar.transpose() * draws);
}

Eigen::MatrixXd CrFmNes::colour(const Eigen::MatrixXd& draws) const {
  return along_v(draws).array().colwise() * d_.array();
}

void CrFmNes::adapt(std::span<const double> values) {
  const std::vector<double> raw = raw_weights(population());
  const SharedWeights shared = share_weights(values, raw);
  Eigen::VectorXd by_rank = as_vector(shared.of);
  // All are equal: nothing is to be learnt, and paths and v that only fade would leave v with rounding errors for a direction.
  if (by_rank.minCoeff() == by_rank.maxCoeff()) return;
  const Eigen::VectorXd lengths = draws().colwise().norm();
  const Eigen::VectorXd by_distance = by_rank.array() * (c_.alpha * (lengths.array() - lengths.maxCoeff())).exp();
  by_rank = centred(by_rank);
  // Shared weights make a shorter step; the paths are of the length that chance gives them all the same.
  const double mu_eff = shared.tied ? c_.mu_eff * centred(as_vector(raw)).squaredNorm() / by_rank.squaredNorm() : c_.mu_eff;

  p_sigma_ = (1 - c_.c_sigma) * p_sigma_ + std::sqrt(c_.c_sigma * (2 - c_.c_sigma) * mu_eff) * (draws() * by_rank);
  const double length = p_sigma_.norm();
  const bool moves = length >= c_.chi_n;
  const Eigen::VectorXd weights = moves ? centred(by_distance) : by_rank;
  const double eta_sigma = moves ? 1 : length >= 0.1 * c_.chi_n ? c_.eta_stagnating : c_.eta_converging;

  Eigen::MatrixXd steps(mean_.size(), population() + 1);
  steps.leftCols(population()) = along_v(draws());
  const Eigen::VectorXd shift = d_.cwiseProduct(steps.leftCols(population()) * weights);
  p_c_ = (1 - c_.c_c) * p_c_ + std::sqrt(c_.c_c * (2 - c_.c_c) * mu_eff) * shift;
  mean_ += step_size() * shift;
  steps.rightCols(1) = p_c_.cwiseQuotient(d_);
  Eigen::VectorXd rates(population() + 1);
  rates << c_.eta_b * weights, c_.c_1;
  learn(steps, rates);
  const double n = static_cast<double>(mean_.size());
  scale_step(std::exp(eta_sigma / 2 * weights.dot((lengths.array().square() - n).matrix()) / n));
}

// Akimoto, Auger, Hansen 2014, "Comparison-based natural gradient optimization in high dimension", theorem 3.1 and algorithm 1.
// Its per-candidate vectors s and t go through linear maps only, so they are summed first.
void CrFmNes::learn(const Eigen::MatrixXd& steps, const Eigen::VectorXd& rates) {
  const double norm = v_.norm(), v2 = norm * norm, v4 = v2 * v2, gamma = 1 + v2;
  const Eigen::VectorXd bar = v_ / norm, bar2 = bar.cwiseAbs2();
  const double alpha = std::min(1.0, std::sqrt(v4 + (2 * gamma - std::sqrt(gamma)) / bar2.maxCoeff()) / (2 + v2));
  const double b = 2 * alpha * alpha - (1 - alpha * alpha) * v4 / gamma;

  const Eigen::VectorXd along = steps.transpose() * bar;
  const Eigen::VectorXd turned = steps * along.cwiseProduct(rates);
  Eigen::VectorXd t = turned - bar * (rates.dot((along.array().square() + gamma).matrix()) / 2);
  Eigen::VectorXd s = steps.cwiseAbs2() * rates - v2 / gamma * bar.cwiseProduct(turned);
  s.array() -= rates.sum();
  s -= alpha / gamma * ((2 + v2) * bar.cwiseProduct(t) - v2 * bar.dot(t) * bar2);
  const Eigen::VectorXd h = 2 - (b + 2 * alpha * alpha) * bar2.array();
  const Eigen::VectorXd ratio = bar2.cwiseQuotient(h);
  s = (s.cwiseQuotient(h) - b * ratio.dot(s) / (1 + b * bar2.dot(ratio)) * ratio).eval();
  t -= alpha * ((2 + v2) * bar.cwiseProduct(s) - bar2.dot(s) * bar);

  v_ += t / norm;
  const double longer = v_.norm();
  if (longer > kLongestV) v_ *= kLongestV / longer;
  d_ = d_.array() * (1 + s.array()).max(kSmallestFactor);
  const double log_root = d_.array().log().mean() + std::log1p(v_.squaredNorm()) / (2 * static_cast<double>(d_.size()));
  d_ /= std::exp(log_root);
}

void CrFmNes::save(nlohmann::json& state) const {
  state["v"] = field::from_vector(v_);
  state["d"] = field::from_vector(d_);
  state["p_sigma"] = field::from_vector(p_sigma_);
  state["p_c"] = field::from_vector(p_c_);
}

void CrFmNes::load(const nlohmann::json& state) {
  const Eigen::VectorXd v = field::vector(state, "v", dimension()), d = field::vector(state, "d", dimension());
  const Eigen::VectorXd p_sigma = field::vector(state, "p_sigma", dimension()), p_c = field::vector(state, "p_c", dimension());
  if (!(d.minCoeff() > 0) || v.isZero(0))
    throw std::runtime_error("saved state: fields 'd' must be positive and 'v' not all 0; the file is damaged");
  v_ = v;
  d_ = d;
  p_sigma_ = p_sigma;
  p_c_ = p_c;
}

}  // namespace namm::evolve
