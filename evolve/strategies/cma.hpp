#pragma once
#include "evolve/strategies/cumulative.hpp"

namespace namm::evolve {

/// CMA-ES with full covariance, rank-one and active rank-μ update (Hansen, arXiv 1604.00772). Constants and conventions are those
/// of the tutorial's text, which the published NAMM optimiser follows too (kTutorial); kCmaesPackage exists to be checked
/// against. Sampling uses the symmetric root C^(1/2), decomposed anew every ceil(1 / (10 n (c_1 + c_μ))) generations: every
/// generation up to about n = 100, every 26 at n = 4,172 with λ = 32. Memory: two n × n matrices of float64, two more while
/// decomposing.
class Cma final : public CumulativeStrategy {
 public:
  /// Throws std::invalid_argument on wrong settings.
  explicit Cma(const StrategySettings& settings, CmaConvention convention = kTutorial);
  std::string_view name() const override { return "cma"; }

 protected:
  void prepare() override;
  Eigen::MatrixXd colour(const Eigen::MatrixXd& draws) const override;
  Eigen::MatrixXd whiten(const Eigen::MatrixXd& steps) const override;
  void learn(const Eigen::MatrixXd& steps, const Eigen::MatrixXd& draws, const Eigen::VectorXd& weights, double decay) override;
  void save_covariance(nlohmann::json& state) const override;
  void load_covariance(const nlohmann::json& state, CmaDistribution& distribution) override;
  void covariance_replaced() override;

 private:
  bool due(std::int64_t generation) const { return root_generation_ < 0 || generation - root_generation_ >= interval_; }

  std::int64_t interval_ = 1;         // generations between decompositions
  std::int64_t root_generation_ = 0;  // when root_ was computed; -1 = not at all
  Eigen::MatrixXd root_;              // C^(1/2) at root_generation_, lower triangle; empty = identity
};

}  // namespace namm::evolve
