#pragma once
#include "evolve/strategies/mirrored.hpp"

namespace namm::evolve {

/// CR-FM-NES (Nomura and Ono 2022, "Fast moving natural evolution strategy for high-dimensional problems", arXiv 2201.11422): a
/// natural evolution strategy with mirrored draws and a covariance σ² D (I + vvᵀ) D, D diagonal: it learns the scale of every
/// parameter and one direction across them, where CMA-ES learns n² / 2 numbers. While the evolution path is long, distant
/// candidates weigh more and σ learns fast. Every candidate counts as feasible (the paper's λ_F = λ). The paper wants an even
/// population; with an odd one the last draw has no partner. Beyond the paper, a generation shrinks
/// no coordinate of D below a tenth and |v| stays below 1e4, so that all remains finite where there is no optimum. O(n λ) time,
/// O(n) state.
class CrFmNes final : public MirroredStrategy {
 public:
  /// Throws std::invalid_argument on wrong settings.
  explicit CrFmNes(const StrategySettings& settings);
  std::string_view name() const override { return "cr-fm-nes"; }

 protected:
  Eigen::MatrixXd colour(const Eigen::MatrixXd& draws) const override;
  void adapt(std::span<const double> values) override;
  void save(nlohmann::json& state) const override;
  void load(const nlohmann::json& state) override;

 private:
  /// Names as in the paper, section 4.
  struct Constants {
    double mu_eff, c_sigma, c_c, c_1, chi_n, eta_b, eta_stagnating, eta_converging;
    double alpha;  ///< weight of a candidate's distance
  };
  static Constants constants(double n, double population);
  Eigen::MatrixXd along_v(const Eigen::MatrixXd& draws) const;  ///< (I + vvᵀ)^(1/2) z
  /// Natural gradient step of v and D: `steps` has y of each candidate and the path in units of D, `rates` what each counts.
  void learn(const Eigen::MatrixXd& steps, const Eigen::VectorXd& rates);

  Constants c_;
  Eigen::VectorXd v_, d_;  // direction and scales of the covariance; its determinant is 1
  Eigen::VectorXd p_sigma_, p_c_;
};

}  // namespace namm::evolve
