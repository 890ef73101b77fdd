#pragma once
#include "evolve/strategies/mirrored.hpp"

namespace namm::evolve {

/// Evolution strategy with antithetic draws, rank shaping and Adam (Salimans et al., arXiv 1703.03864, section 2; Adam:
/// arXiv 1412.6980): candidates come in pairs mean ± σz, their ranks, centred to [-1/2, 1/2], weigh the draws into an estimate of
/// the gradient, and Adam takes the step. σ is fixed and the step is 0.15 σ, so it follows a slope through noise and does not
/// converge. O(n λ) time, O(n) state.
class AntitheticEs final : public MirroredStrategy {
 public:
  static constexpr double kRate = 0.15;  ///< Adam's step in units of σ: 0.01 at the usual σ of 0.065

  /// Throws std::invalid_argument on wrong settings.
  explicit AntitheticEs(const StrategySettings& settings);
  std::string_view name() const override { return "es"; }

 protected:
  void adapt(std::span<const double> values) override;
  void save(nlohmann::json& state) const override;
  void load(const nlohmann::json& state) override;

 private:
  Eigen::VectorXd momentum_, variance_;  // Adam's moments
};

}  // namespace namm::evolve
