#pragma once
#include <string>

#include <nlohmann/json.hpp>

#include "evolve/strategies/coefficients.hpp"
#include "evolve/strategies/gaussian_draws.hpp"
#include "evolve/strategies/matrix.hpp"
#include "namm/strategy.hpp"

namespace namm::evolve {

/// Where implementations of the same tutorial differ.
struct CmaConvention {
  int extra_generations = 0;    ///< h_σ compares with sqrt(1 - (1 - c_σ)^(2 (g + extra))), g = 1 in the first generation
  double norm_epsilon = 1e-20;  ///< added to |C^(-1/2) y|² where negative weights are scaled by n / |C^(-1/2) y|²
};
inline constexpr CmaConvention kTutorial{0, 1e-20};     ///< the tutorial's text and the published NAMM optimiser
inline constexpr CmaConvention kCmaesPackage{1, 1e-8};  ///< the Python package cmaes 0.13.1, both of its classes

/// The search distribution N(mean, step_size² C) and its paths. C is n × n (lower triangle), or n × 1 where it is diagonal.
struct CmaDistribution {
  std::int64_t generation = 0;  ///< number of tell() so far
  Eigen::VectorXd mean;
  double step_size = 0;
  Eigen::VectorXd p_sigma, p_c;
  Eigen::MatrixXd covariance;
};

/// What CMA-ES variants share: sampling, recombination, both evolution paths and cumulative step-size adaptation (arXiv
/// 1604.00772, equations 41 to 47). A variant adds its covariance: how it colours draws and how it learns.
///
///     z ~ N(0, I) -> y = C^(1/2) z -> x = mean + σ y -> values -> ranks -> mean, p_σ, p_c, C, σ
class CumulativeStrategy : public Strategy {
 public:
  std::size_t dimension() const override { return static_cast<std::size_t>(distribution_.mean.size()); }
  int population() const override { return static_cast<int>(coefficients_.weights.size()); }
  std::int64_t generation() const override { return distribution_.generation; }
  Candidates ask() override;
  void tell(std::span<const double> values) override;
  std::vector<double> mean() const override { return numbers_of(distribution_.mean); }
  double step_size() const override { return distribution_.step_size; }
  nlohmann::json state() const override;
  void restore(const nlohmann::json& state) override;

  const CmaCoefficients& coefficients() const { return coefficients_; }

  // Seam for tests against other implementations, not used by the loop: the distribution can be read and set, and one
  // generation can be told for candidates, or sampled from draws, that come from elsewhere.
  const CmaDistribution& distribution() const { return distribution_; }
  void set_distribution(const CmaDistribution& distribution);
  /// tell() for the columns of `candidates` (n × λ) instead of those of ask().
  void tell_with(const Eigen::MatrixXd& candidates, std::span<const double> values);
  /// ask() with these draws (n × λ) instead of its own.
  const Eigen::MatrixXd& ask_with(const Eigen::MatrixXd& draws);

 protected:
  CumulativeStrategy(const StrategySettings& settings, CmaCoefficients coefficients, CmaConvention convention);

  /// Brings whatever colour() needs up to date with the covariance.
  virtual void prepare() = 0;
  virtual Eigen::MatrixXd colour(const Eigen::MatrixXd& draws) const = 0;  ///< C^(1/2) z, symmetric root
  virtual Eigen::MatrixXd whiten(const Eigen::MatrixXd& steps) const = 0;  ///< C^(-1/2) y
  /// Learns C: `weights` by column of `steps` and `draws`; `decay` multiplies the old C, `p_c` enters with c_1.
  virtual void learn(const Eigen::MatrixXd& steps, const Eigen::MatrixXd& draws, const Eigen::VectorXd& weights,
                     double decay) = 0;
  virtual void save_covariance(nlohmann::json& state) const = 0;
  /// Reads into `distribution` and, once nothing can fail any more, into the object.
  virtual void load_covariance(const nlohmann::json& state, CmaDistribution& distribution) = 0;
  /// After set_distribution(): forget what prepare() computed.
  virtual void covariance_replaced() = 0;

  CmaDistribution distribution_;
  CmaCoefficients coefficients_;
  CmaConvention convention_;

 private:
  void adapt(std::span<const double> values);
  const Eigen::MatrixXd& sample();

  GaussianDraws random_;
  std::string random_before_;  // state of random_ before the pending ask()
  bool asked_ = false;         // candidates_ wait for their values
  Eigen::MatrixXd draws_, steps_, candidates_;
};

}  // namespace namm::evolve
