#include "evolve/strategies/cumulative.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "evolve/strategies/ranking.hpp"
#include "evolve/strategies/start.hpp"
#include "evolve/strategies/state_fields.hpp"

namespace namm::evolve {
CumulativeStrategy::CumulativeStrategy(const StrategySettings& settings, CmaCoefficients coefficients, CmaConvention convention)
    : coefficients_(std::move(coefficients)), convention_(convention), random_(settings.seed) {
  distribution_.mean = start_of(settings);
  distribution_.step_size = settings.step_size;
  distribution_.p_sigma = distribution_.p_c = Eigen::VectorXd::Zero(distribution_.mean.size());
}

const Eigen::MatrixXd& CumulativeStrategy::sample() {
  prepare();
  steps_ = colour(draws_);
  candidates_ = (distribution_.step_size * steps_).colwise() + distribution_.mean;
  asked_ = true;
  return candidates_;
}

Candidates CumulativeStrategy::ask() {
  if (asked_) return columns_of(candidates_);
  random_before_ = random_.state();
  draws_.resize(distribution_.mean.size(), population());
  random_.fill(draws_);
  return columns_of(sample());
}

const Eigen::MatrixXd& CumulativeStrategy::ask_with(const Eigen::MatrixXd& draws) {
  if (draws.rows() != distribution_.mean.size()) throw std::invalid_argument("draws: must have one row per dimension");
  check_values(static_cast<std::size_t>(draws.cols()), population());
  random_before_ = random_.state();
  draws_ = draws;
  return sample();
}

void CumulativeStrategy::tell(std::span<const double> values) {
  check_values(values.size(), population());
  if (!asked_) throw std::invalid_argument("tell: no candidates wait for values; call ask() first");
  adapt(values);
}

void CumulativeStrategy::tell_with(const Eigen::MatrixXd& candidates, std::span<const double> values) {
  check_values(values.size(), population());
  if (candidates.rows() != distribution_.mean.size()) throw std::invalid_argument("candidates: must have one row per dimension");
  check_values(static_cast<std::size_t>(candidates.cols()), population());
  prepare();
  steps_ = (candidates.colwise() - distribution_.mean) / distribution_.step_size;
  draws_ = whiten(steps_);
  adapt(values);
}

void CumulativeStrategy::adapt(std::span<const double> values) {
  const CmaCoefficients& c = coefficients_;
  CmaDistribution& d = distribution_;
  const Eigen::VectorXd weights = as_vector(share_weights(values, c.weights).of);
  // Only the positive weights move the mean. They are shared for themselves: with the negative ones of a tie they would cancel.
  std::vector<double> positive_by_rank;
  for (const double weight : c.weights) positive_by_rank.push_back(std::max(weight, 0.0));
  const SharedWeights parents = share_weights(values, positive_by_rank);
  const Eigen::VectorXd positive = as_vector(parents.of);
  // Shared weights make a shorter step. The paths are of the length that chance gives them all the same, or a plateau would
  // shrink the step size.
  const double mu_eff = parents.tied ? 1 / positive.squaredNorm() : c.mu_eff;

  // Recombination: eq. 41, 42.
  const Eigen::VectorXd step = steps_ * positive;
  d.mean += c.c_m * d.step_size * step;
  // Path of the step size: eq. 43, with C^(-1/2) y = z.
  d.p_sigma = (1 - c.c_sigma) * d.p_sigma + std::sqrt(c.c_sigma * (2 - c.c_sigma) * mu_eff) * (draws_ * positive);
  // h_σ stalls the other path while p_σ is long (text below eq. 45).
  const double exponent = 2.0 * static_cast<double>(d.generation + 1 + convention_.extra_generations);
  const double length = d.p_sigma.norm();
  const double expected = std::sqrt(1 - std::pow(1 - c.c_sigma, exponent));
  const bool h_sigma = length / expected < (1.4 + 2 / (static_cast<double>(d.mean.size()) + 1)) * c.chi_n;
  d.p_c *= 1 - c.c_c;
  if (h_sigma) d.p_c += std::sqrt(c.c_c * (2 - c.c_c) * mu_eff) * step;
  // Covariance: eq. 46, 47.
  const double lost_variance = h_sigma ? 0.0 : c.c_1 * c.c_c * (2 - c.c_c);
  const double sum = weights.sum();
  learn(steps_, draws_, weights, 1 - c.c_1 - c.c_mu * sum + lost_variance);
  // Step size: eq. 44.
  const double change = c.c_sigma / c.d_sigma * (length / c.chi_n - 1);
  d.step_size = std::clamp(d.step_size * std::exp(change), kSmallestStep, kLargestStep);
  ++d.generation;
  asked_ = false;
}

void CumulativeStrategy::set_distribution(const CmaDistribution& distribution) {
  if (distribution.mean.size() != distribution_.mean.size()) throw std::invalid_argument("distribution: dimension differs");
  distribution_ = distribution;
  asked_ = false;
  covariance_replaced();
}

nlohmann::json CumulativeStrategy::state() const {
  nlohmann::json state;
  state["strategy"] = name();
  state["version"] = 1;
  state["dimension"] = dimension();
  state["population"] = population();
  state["generation"] = distribution_.generation;
  state["mean"] = field::from_vector(distribution_.mean);
  state["step_size"] = distribution_.step_size;
  state["p_sigma"] = field::from_vector(distribution_.p_sigma);
  state["p_c"] = field::from_vector(distribution_.p_c);
  // While candidates wait for their values, what is stored is the generator before they were drawn: they are drawn again.
  state["asked"] = asked_;
  state["random"] = asked_ ? random_before_ : random_.state();
  save_covariance(state);
  return state;
}

void CumulativeStrategy::restore(const nlohmann::json& state) {
  field::expect(state, "strategy", std::string(name()));
  field::expect(state, "version", 1);
  field::expect(state, "dimension", dimension());
  field::expect(state, "population", population());
  CmaDistribution loaded;
  loaded.generation = field::integer(state, "generation");
  loaded.mean = field::vector(state, "mean", dimension());
  loaded.step_size = field::number(state, "step_size");
  loaded.p_sigma = field::vector(state, "p_sigma", dimension());
  loaded.p_c = field::vector(state, "p_c", dimension());
  const bool asked = field::boolean(state, "asked");
  if (loaded.generation < 0 || !(loaded.step_size > 0)) {
    throw std::runtime_error("strategy state: generation must be >= 0 and step size positive; the file is damaged");
  }
  GaussianDraws random(0);
  random.restore(field::text(state, "random"));
  load_covariance(state, loaded);
  distribution_ = std::move(loaded);
  random_ = random;
  asked_ = false;
  if (asked) ask();
}

}  // namespace namm::evolve
