#pragma once
#include "evolve/strategies/coefficients.hpp"
#include "evolve/strategies/mirrored.hpp"

namespace namm::evolve {

/// CMA-ES with a diagonal covariance, mirrored sampling and two-point step-size adaptation (TPA; Hansen, Atamna, Auger 2014, "How
/// to assess step-size adaptation mechanisms in randomised search", with its constants 0.3 and √n). The first pair of a
/// generation is the last step of the mean, forwards and backwards, as long as a draw would be: if forwards ranks better the step
/// size grows, else it shrinks. So σ answers at once, where a path of length n takes n generations, and noise averages out.
/// Of each pair only the better candidate is a parent (pairwise selection; Auger, Brockhoff, Hansen 2011, "Mirrored sampling in
/// evolution strategies with weighted recombination"): two halves of a pair would cancel and shorten the steps. Equal halves do
/// cancel: which of them is the better is not known. Below λ = 4
/// every second generation goes without the test, which would be the only direction. Weights and rates of the covariance are
/// those of sep-cma; the test pair moves the mean and says nothing about the covariance. O(n λ) time, O(n) state.
class SepCmaTpa final : public MirroredStrategy {
 public:
  /// Throws std::invalid_argument on wrong settings.
  explicit SepCmaTpa(const StrategySettings& settings);
  std::string_view name() const override { return "sep-cma-tpa"; }

 protected:
  void prepare(Eigen::MatrixXd& draws) override;
  Eigen::MatrixXd colour(const Eigen::MatrixXd& draws) const override;
  void adapt(std::span<const double> values) override;
  void save(nlohmann::json& state) const override;
  void load(const nlohmann::json& state) override;

 private:
  bool tests() const { return !shift_.isZero(0); }
  /// Changes the step size by what the values of the test pair say.
  void follow(std::span<const double> values);

  CmaCoefficients coefficients_;
  Eigen::VectorXd variances_, p_c_;
  Eigen::VectorXd shift_;  // last step of the mean in units of σ; zeros = nothing to test in the next generation
  double trend_ = 0;       // the averaged test result, in [-1, 1]
};

}  // namespace namm::evolve
