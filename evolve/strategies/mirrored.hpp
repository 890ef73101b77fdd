#pragma once
#include <string>

#include <nlohmann/json.hpp>

#include "evolve/strategies/gaussian_draws.hpp"
#include "evolve/strategies/matrix.hpp"
#include "namm/strategy.hpp"

namespace namm::evolve {

/// What strategies with mirrored draws share (Brockhoff et al. 2010, "Mirrored sampling and sequential selection for evolution
/// strategies"): asking, saving, and candidates in pairs mean ± σy. With an odd population the last draw has no partner.
///
///     z, -z, z', -z', … -> y = colour(z) -> x = mean + σ y -> values -> adapt()
class MirroredStrategy : public Strategy {
 public:
  std::size_t dimension() const override { return static_cast<std::size_t>(mean_.size()); }
  int population() const override { return population_; }
  std::int64_t generation() const override { return generation_; }
  Candidates ask() override;
  void tell(std::span<const double> values) override;
  std::vector<double> mean() const override { return numbers_of(mean_); }
  double step_size() const override { return step_size_; }
  nlohmann::json state() const override;
  void restore(const nlohmann::json& state) override;

  /// Seam for tests against other implementations: ask() with these draws, n × ceil(λ/2), instead of its own.
  const Eigen::MatrixXd& ask_with(const Eigen::MatrixXd& draws);

 protected:
  /// Throws std::invalid_argument on wrong settings.
  explicit MirroredStrategy(const StrategySettings& settings);

  /// May replace a draw, n × ceil(λ/2), by one of its own.
  virtual void prepare(Eigen::MatrixXd&) {}
  virtual Eigen::MatrixXd colour(const Eigen::MatrixXd& draws) const { return draws; }  ///< z -> y
  /// Learns from the values of the columns of draws(); generation() still counts the ones before.
  virtual void adapt(std::span<const double> values) = 0;
  virtual void save(nlohmann::json& state) const = 0;
  /// Changes nothing until nothing can fail any more.
  virtual void load(const nlohmann::json& state) = 0;

  const Eigen::MatrixXd& draws() const { return draws_; }  ///< n × λ, columns 2k and 2k + 1 mirror each other
  /// Multiplies σ, within what keeps every number finite.
  void scale_step(double factor);

  Eigen::VectorXd mean_;
  GaussianDraws random_;

 private:
  const Eigen::MatrixXd& sample(Eigen::MatrixXd half);

  int population_;
  double step_size_;
  std::int64_t generation_ = 0;
  std::string random_before_;  // state of random_ before the pending ask()
  bool asked_ = false;         // candidates_ wait for their values
  Eigen::MatrixXd draws_, candidates_;
};

}  // namespace namm::evolve
