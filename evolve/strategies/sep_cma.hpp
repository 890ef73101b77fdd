#pragma once
#include "evolve/strategies/cumulative.hpp"

namespace namm::evolve {

/// CMA-ES with a diagonal covariance (Ros and Hansen 2008, "A simple modification in CMA-ES achieving linear time and space
/// complexity"), with the rates and conventions of the Python package's cmaes.SepCMA. O(n λ) time, O(n) memory: the choice from
/// about a thousand parameters on.
class SepCma final : public CumulativeStrategy {
 public:
  /// Throws std::invalid_argument on wrong settings.
  explicit SepCma(const StrategySettings& settings);
  std::string_view name() const override { return "sep-cma"; }

 protected:
  void prepare() override {}
  Eigen::MatrixXd colour(const Eigen::MatrixXd& draws) const override;
  Eigen::MatrixXd whiten(const Eigen::MatrixXd& steps) const override;
  void learn(const Eigen::MatrixXd& steps, const Eigen::MatrixXd& draws, const Eigen::VectorXd& weights, double decay) override;
  void save_covariance(nlohmann::json& state) const override;
  void load_covariance(const nlohmann::json& state, CmaDistribution& distribution) override;
  void covariance_replaced() override {}
};

}  // namespace namm::evolve
