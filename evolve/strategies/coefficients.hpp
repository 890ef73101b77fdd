#pragma once
#include <cstddef>
#include <vector>

namespace namm::evolve {

/// Constants of CMA-ES for a dimension n and a population λ (names as in Hansen's tutorial, arXiv 1604.00772, section A).
struct CmaCoefficients {
  int mu = 0;                   ///< parents: floor(λ/2)
  std::vector<double> weights;  ///< λ entries, best rank first; positive for the first μ, then <= 0
  double mu_eff = 0;            ///< variance-effective selection mass of the positive weights
  double c_sigma = 0, d_sigma = 0, c_c = 0, c_1 = 0, c_mu = 0, c_m = 1;
  double chi_n = 0;  ///< E|N(0, I)|, by its usual expansion
};

/// Full covariance, the tutorial's constants before its +1/4 in c_mu, with negative (active) weights: what the published NAMM
/// optimiser and cmaes.CMA use. Throws std::invalid_argument if n < 1 or λ < 2.
CmaCoefficients full_coefficients(std::size_t dimension, int population);

/// Diagonal covariance (Ros and Hansen 2008, as in cmaes.SepCMA): positive weights only, the old c_cov times (n + 2) / 3 as c_mu.
CmaCoefficients separable_coefficients(std::size_t dimension, int population);

/// Default population 4 + floor(3 ln n).
int default_population(std::size_t dimension);

}  // namespace namm::evolve
