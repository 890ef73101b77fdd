#include "evolve/strategies/mirrored.hpp"

#include <algorithm>
#include <stdexcept>

#include "evolve/strategies/start.hpp"
#include "evolve/strategies/state_fields.hpp"

namespace namm::evolve {
MirroredStrategy::MirroredStrategy(const StrategySettings& settings)
    : mean_(start_of(settings)), random_(settings.seed), population_(settings.population), step_size_(settings.step_size) {
  check_shape(settings.dimension, settings.population);
}

const Eigen::MatrixXd& MirroredStrategy::sample(Eigen::MatrixXd half) {
  prepare(half);
  draws_.resize(mean_.size(), population_);
  for (Eigen::Index k = 0; k < draws_.cols(); ++k) draws_.col(k) = (k % 2 == 0 ? 1.0 : -1.0) * half.col(k / 2);
  candidates_ = (step_size_ * colour(draws_)).colwise() + mean_;
  asked_ = true;
  return candidates_;
}

Candidates MirroredStrategy::ask() {
  if (asked_) return columns_of(candidates_);
  random_before_ = random_.state();
  Eigen::MatrixXd half(mean_.size(), (population_ + 1) / 2);
  random_.fill(half);
  return columns_of(sample(std::move(half)));
}

const Eigen::MatrixXd& MirroredStrategy::ask_with(const Eigen::MatrixXd& draws) {
  if (draws.rows() != mean_.size() || draws.cols() != (population_ + 1) / 2)
    throw std::invalid_argument("draws: must have one row per dimension and one column per pair");
  random_before_ = random_.state();
  return sample(draws);
}

void MirroredStrategy::tell(std::span<const double> values) {
  check_values(values.size(), population_);
  if (!asked_) throw std::invalid_argument("tell: no candidates wait for values; call ask() first");
  adapt(values);
  ++generation_;
  asked_ = false;
}

void MirroredStrategy::scale_step(double factor) {
  step_size_ = std::clamp(step_size_ * factor, kSmallestStep, kLargestStep);
}

nlohmann::json MirroredStrategy::state() const {
  nlohmann::json state;
  state["strategy"] = name();
  state["version"] = 1;
  state["dimension"] = dimension();
  state["population"] = population_;
  state["generation"] = generation_;
  state["mean"] = field::from_vector(mean_);
  state["step_size"] = step_size_;
  // While candidates wait for their values, what is stored is the generator before they were drawn: they are drawn again.
  state["asked"] = asked_;
  state["random"] = asked_ ? random_before_ : random_.state();
  save(state);
  return state;
}

void MirroredStrategy::restore(const nlohmann::json& state) {
  field::expect(state, "strategy", std::string(name()));
  field::expect(state, "version", 1);
  field::expect(state, "dimension", dimension());
  field::expect(state, "population", population_);
  const std::int64_t generation = field::integer(state, "generation");
  const Eigen::VectorXd mean = field::vector(state, "mean", dimension());
  const double step_size = field::number(state, "step_size");
  const bool asked = field::boolean(state, "asked");
  if (generation < 0 || !(step_size > 0))
    throw std::runtime_error("strategy state: generation must be >= 0 and step size positive; the file is damaged");
  GaussianDraws random(0);
  random.restore(field::text(state, "random"));
  load(state);
  generation_ = generation;
  mean_ = mean;
  step_size_ = step_size;
  random_ = random;
  asked_ = false;
  if (asked) ask();
}

}  // namespace namm::evolve
