#include "evolve/strategies/es.hpp"

#include <cmath>
#include <stdexcept>

#include <nlohmann/json.hpp>

#include "evolve/state_fields.hpp"
#include "evolve/strategies/ranking.hpp"
#include "evolve/strategies/start.hpp"

namespace namm::evolve {
namespace {

constexpr double kMomentumDecay = 0.9, kVarianceDecay = 0.999, kEpsilon = 1e-8;  // Adam's published constants

}  // namespace

AntitheticEs::AntitheticEs(const StrategySettings& settings)
    : population_(settings.population), step_size_(settings.step_size), mean_(start_of(settings)), random_(settings.seed) {
  check_shape(settings.dimension, settings.population);
  momentum_ = variance_ = Eigen::VectorXd::Zero(mean_.size());
}

const Eigen::MatrixXd& AntitheticEs::ask() {
  if (asked_) return candidates_;
  random_before_ = random_.state();
  Eigen::MatrixXd half(mean_.size(), (population_ + 1) / 2);
  random_.fill(half);
  draws_.resize(mean_.size(), population_);
  for (Eigen::Index k = 0; k < draws_.cols(); ++k) draws_.col(k) = (k % 2 == 0 ? 1.0 : -1.0) * half.col(k / 2);
  candidates_ = (step_size_ * draws_).colwise() + mean_;
  asked_ = true;
  return candidates_;
}

void AntitheticEs::tell(std::span<const double> values) {
  check_values(values.size(), population_);
  if (!asked_) throw std::invalid_argument("tell: no candidates wait for values; call ask() first");
  const std::vector<int> order = rank_ascending(values);
  Eigen::VectorXd shares(population_);
  for (std::size_t rank = 0; rank < order.size(); ++rank)
    shares(order[rank]) = static_cast<double>(rank) / static_cast<double>(population_ - 1) - 0.5;
  const Eigen::VectorXd gradient = draws_ * shares / (step_size_ * population_);
  ++generation_;
  momentum_ = kMomentumDecay * momentum_ + (1 - kMomentumDecay) * gradient;
  variance_ = kVarianceDecay * variance_ + (1 - kVarianceDecay) * gradient.cwiseAbs2();
  const double age = static_cast<double>(generation_);
  const double momentum_bias = 1 - std::pow(kMomentumDecay, age), variance_bias = 1 - std::pow(kVarianceDecay, age);
  mean_ -=
      (kRate * step_size_ / momentum_bias * momentum_.array() / ((variance_.array() / variance_bias).sqrt() + kEpsilon)).matrix();
  asked_ = false;
}

nlohmann::json AntitheticEs::state() const {
  nlohmann::json state;
  state["strategy"] = name();
  state["version"] = 1;
  state["dimension"] = dimension();
  state["population"] = population_;
  state["generation"] = generation_;
  state["mean"] = field::from_vector(mean_);
  state["step_size"] = step_size_;
  state["momentum"] = field::from_vector(momentum_);
  state["variance"] = field::from_vector(variance_);
  // While candidates wait for their values, what is stored is the generator before they were drawn: they are drawn again.
  state["asked"] = asked_;
  state["random"] = asked_ ? random_before_ : random_.state();
  return state;
}

void AntitheticEs::restore(const nlohmann::json& state) {
  field::expect(state, "strategy", std::string(name()));
  field::expect(state, "version", 1);
  field::expect(state, "dimension", dimension());
  field::expect(state, "population", population_);
  const std::int64_t generation = field::integer(state, "generation");
  const Eigen::VectorXd mean = field::vector(state, "mean", dimension());
  const double step_size = field::number(state, "step_size");
  const Eigen::VectorXd momentum = field::vector(state, "momentum", dimension());
  const Eigen::VectorXd variance = field::vector(state, "variance", dimension());
  const bool asked = field::boolean(state, "asked");
  if (generation < 0 || !(step_size > 0) || !(variance.minCoeff() >= 0))
    throw std::runtime_error("strategy state: generation and variance must be >= 0 and step size positive; the file is damaged");
  GaussianDraws random(0);
  random.restore(field::text(state, "random"));
  generation_ = generation;
  mean_ = mean;
  step_size_ = step_size;
  momentum_ = momentum;
  variance_ = variance;
  random_ = random;
  asked_ = false;
  if (asked) ask();
}

}  // namespace namm::evolve
