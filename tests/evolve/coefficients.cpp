#include "evolve/strategies/coefficients.hpp"

#include <stdexcept>

#include "evolve/strategies/ranking.hpp"
#include "tests/check.hpp"
#include "tests/evolve/golden.hpp"

using namespace namm::evolve;

namespace {

constexpr double kTolerance = 1e-12;

double compare(const CmaCoefficients& c, const nlohmann::json& source) {
  double worst = 0;
  const auto check = [&](const char* name, double value) {
    CAPTURE(name);
    const double error = golden::error(value, source.at(name).get<double>());
    CHECK(error <= kTolerance);
    worst = std::max(worst, error);
  };
  CHECK(c.mu == source.at("mu").get<int>());
  check("mu_eff", c.mu_eff);
  check("c_sigma", c.c_sigma);
  check("d_sigma", c.d_sigma);
  check("c_c", c.c_c);
  check("c_1", c.c_1);
  check("c_mu", c.c_mu);
  check("c_m", c.c_m);
  check("chi_n", c.chi_n);
  nlohmann::json all = source.at("weights_positive");
  for (const auto& w : source.at("weights_negative")) all.push_back(w);
  for (std::size_t i = 0; i < all.size(); ++i) {
    CAPTURE(i);
    const double expected = all[i].get<double>();
    const double error = std::abs(c.weights[i] - expected) / std::max(std::abs(expected), 1e-3);
    CHECK(error <= kTolerance);
    worst = std::max(worst, error);
  }
  return worst;
}

}  // namespace

TEST_CASE("coefficients equal the golden ones", "[golden]") {
  double worst = 0;
  const nlohmann::json all = golden::load("cma_coefficients.json");
  CHECK(all.at("entries").size() == 7);
  for (const auto& entry : all.at("entries")) {
    const auto n = entry.at("n").get<std::size_t>();
    const int population = entry.at("lambda").get<int>();
    CAPTURE(n, population);
    const CmaCoefficients full = full_coefficients(n, population);
    worst = std::max(worst, compare(full, entry.at("reference_float64")));
    worst = std::max(worst, compare(full, entry.at("cmaes_CMA")));
    const CmaCoefficients separable = separable_coefficients(n, population);
    worst = std::max(worst, compare(separable, entry.at("cmaes_SepCMA")));
    CHECK(separable.weights.size() == static_cast<std::size_t>(population));
    CHECK(std::all_of(separable.weights.begin() + separable.mu, separable.weights.end(), [](double w) { return w == 0; }));
  }
  golden::report("coefficients: largest relative error ", worst);
}

TEST_CASE("coefficients are usable for every small dimension and population", "[coefficients]") {
  for (std::size_t n = 1; n <= 12; ++n) {
    for (int population = 2; population <= 40; ++population) {
      CAPTURE(n, population);
      for (const CmaCoefficients& c : {full_coefficients(n, population), separable_coefficients(n, population)}) {
        double sum = 0;
        for (int i = 0; i < c.mu; ++i) sum += c.weights[i];
        CHECK(sum == Approx(1));
        CHECK(std::is_sorted(c.weights.rbegin(), c.weights.rend()));
        for (double value : {c.mu_eff, c.c_sigma, c.d_sigma, c.c_c, c.c_1, c.c_mu, c.chi_n}) CHECK(std::isfinite(value));
        CHECK(c.c_1 + c.c_mu <= 1);
        CHECK(c.c_mu >= 0);
        CHECK(c.c_sigma < 1);
      }
    }
  }
  CHECK_THROWS_AS(full_coefficients(0, 4), std::invalid_argument);
  CHECK_THROWS_AS(full_coefficients(3, 1), std::invalid_argument);
  CHECK_THROWS_AS(separable_coefficients(3, 1), std::invalid_argument);
}

TEST_CASE("ranking: ties keep their order, NaN is last", "[coefficients]") {
  const std::vector<double> values = {NAN, 2, -1, INFINITY, 2, NAN, -INFINITY};
  CHECK(rank_ascending(values) == std::vector<int>{6, 2, 1, 4, 3, 0, 5});
  CHECK(rank_ascending(std::vector<double>{}).empty());
}
