#pragma once
#include <string>

#include "evolve/strategies/gaussian_draws.hpp"
#include "evolve/strategy.hpp"

namespace namm::evolve {

/// Evolution strategy with antithetic draws, rank shaping and Adam (Salimans et al., arXiv 1703.03864, section 2; Adam:
/// arXiv 1412.6980): candidates come in pairs mean ± σz, their ranks, centred to [-1/2, 1/2], weigh the draws into an estimate of
/// the gradient, and Adam takes the step. σ is fixed and the step is 0.15 σ, so it follows a slope through noise and does not
/// converge. With an odd population the last draw has no partner. O(n λ) time, O(n) state.
class AntitheticEs final : public Strategy {
 public:
  static constexpr double kRate = 0.15;  ///< Adam's step in units of σ: 0.01 at the usual σ of 0.065

  /// Throws std::invalid_argument on wrong settings.
  explicit AntitheticEs(const StrategySettings& settings);
  std::string_view name() const override { return "es"; }
  std::size_t dimension() const override { return static_cast<std::size_t>(mean_.size()); }
  int population() const override { return population_; }
  std::int64_t generation() const override { return generation_; }
  const Eigen::MatrixXd& ask() override;
  void tell(std::span<const double> values) override;
  Eigen::VectorXd mean() const override { return mean_; }
  double step_size() const override { return step_size_; }
  nlohmann::json state() const override;
  void restore(const nlohmann::json& state) override;

 private:
  int population_;
  double step_size_;
  std::int64_t generation_ = 0;
  Eigen::VectorXd mean_, momentum_, variance_;  // Adam's moments
  GaussianDraws random_;
  std::string random_before_;  // state of random_ before the pending ask()
  bool asked_ = false;         // candidates_ wait for their values
  Eigen::MatrixXd draws_, candidates_;
};

}  // namespace namm::evolve
