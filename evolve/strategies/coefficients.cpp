#include "evolve/strategies/coefficients.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "evolve/strategies/start.hpp"

namespace namm::evolve {
namespace {

/// Expected length of a standard normal vector (tutorial, step-size control).
double expected_norm(double n) {
  return std::sqrt(n) * (1 - 1 / (4 * n) + 1 / (21 * n * n));
}

/// Variance-effective mass (Σ w)² / Σ w² of a range of weights; 0 if all are 0.
double effective_mass(std::vector<double>::const_iterator first, std::vector<double>::const_iterator last) {
  double sum = 0, squares = 0;
  for (; first != last; ++first) {
    sum += *first;
    squares += *first * *first;
  }
  return squares > 0 ? sum * sum / squares : 0;
}

double damping(double n, double mu_eff, double c_sigma) {
  return 1 + 2 * std::max(0.0, std::sqrt((mu_eff - 1) / (n + 1)) - 1) + c_sigma;
}

double rank_one_rate(double n, double mu_eff) {
  return 2 / ((n + 1.3) * (n + 1.3) + mu_eff);
}

double rank_mu_rate(double n, double mu_eff) {
  return 2 * (mu_eff - 2 + 1 / mu_eff) / ((n + 2) * (n + 2) + mu_eff);
}

}  // namespace

CmaCoefficients full_coefficients(std::size_t dimension, int population) {
  check_shape(dimension, population);
  const double n = static_cast<double>(dimension);
  CmaCoefficients c;
  c.mu = population / 2;
  c.weights.resize(static_cast<std::size_t>(population));
  for (int i = 0; i < population; ++i) c.weights[i] = std::log((population + 1) / 2.0) - std::log(i + 1.0);
  const auto middle = c.weights.begin() + c.mu;
  c.mu_eff = effective_mass(c.weights.begin(), middle);
  const double mu_eff_minus = effective_mass(middle, c.weights.end());

  c.c_1 = rank_one_rate(n, c.mu_eff);
  c.c_mu = std::min(1 - c.c_1 - 1e-8, rank_mu_rate(n, c.mu_eff));
  c.c_mu = std::max(c.c_mu, 0.0);  // λ = 2 and 3: one parent, the rate is 0 up to rounding
  c.c_sigma = (c.mu_eff + 2) / (n + c.mu_eff + 5);
  c.d_sigma = damping(n, c.mu_eff, c.c_sigma);
  c.c_c = (4 + c.mu_eff / n) / (n + 4 + 2 * c.mu_eff / n);
  c.chi_n = expected_norm(n);

  double positive = 0, negative = 0;
  for (double w : c.weights) (w > 0 ? positive : negative) += std::abs(w);
  double mass = 1 + 2 * mu_eff_minus / (c.mu_eff + 2);
  if (c.c_mu > 0) mass = std::min({mass, 1 + c.c_1 / c.c_mu, (1 - c.c_1 - c.c_mu) / (n * c.c_mu)});
  for (double& w : c.weights) w = w > 0 ? w / positive : (negative > 0 ? w * mass / negative : 0.0);
  return c;
}

CmaCoefficients separable_coefficients(std::size_t dimension, int population) {
  check_shape(dimension, population);
  const double n = static_cast<double>(dimension);
  CmaCoefficients c;
  c.mu = population / 2;
  c.weights.assign(static_cast<std::size_t>(population), 0.0);
  double sum = 0;
  for (int i = 0; i < c.mu; ++i) sum += c.weights[i] = std::log(c.mu + 1.0) - std::log(i + 1.0);
  for (int i = 0; i < c.mu; ++i) c.weights[i] /= sum;
  c.mu_eff = effective_mass(c.weights.begin(), c.weights.begin() + c.mu);

  c.c_1 = rank_one_rate(n, c.mu_eff);
  // c_cov of the full covariance in 2008, for both updates together; the diagonal may learn (n + 2) / 3 times as fast.
  const double old_rate = 2 / c.mu_eff / ((n + std::sqrt(2.0)) * (n + std::sqrt(2.0))) +
                          (1 - 1 / c.mu_eff) * std::min(1.0, (2 * c.mu_eff - 1) / ((n + 2) * (n + 2) + c.mu_eff));
  c.c_mu = std::min(1 - c.c_1, old_rate * (n + 2) / 3);
  c.c_sigma = (c.mu_eff + 2) / (n + c.mu_eff + 3);
  c.d_sigma = damping(n, c.mu_eff, c.c_sigma);
  c.c_c = 4 / (n + 4);
  c.chi_n = expected_norm(n);
  return c;
}

int default_population(std::size_t dimension) {
  return 4 + static_cast<int>(std::floor(3 * std::log(static_cast<double>(std::max<std::size_t>(dimension, 1)))));
}

}  // namespace namm::evolve
