// The antithetic strategy's own promises.
#include "evolve/strategies/es.hpp"

#include <cmath>

#include "evolve/strategies/gaussian_draws.hpp"
#include "tests/check.hpp"

using namespace namm::evolve;

namespace {

StrategySettings settings_of(std::size_t dimension, int population, double step_size) {
  StrategySettings settings;
  settings.dimension = dimension;
  settings.population = population;
  settings.step_size = step_size;
  settings.seed = 4;
  return settings;
}

/// The objective at the mean, over that at the start, after some generations on a sphere around 0.3 whose values carry noise as
/// large as their spread over the first candidates.
double progress(std::string_view name, int generations) {
  const auto strategy = make_strategy(name, settings_of(2000, 16, 0.065));
  const auto distance = [](const Eigen::VectorXd& x) { return (x.array() - 0.3).matrix().squaredNorm(); };
  const double start = distance(strategy->mean());
  GaussianDraws random(8);
  double noise = -1;
  for (int g = 0; g < generations; ++g) {
    const Eigen::MatrixXd& x = strategy->ask();
    Eigen::MatrixXd errors(16, 1);
    random.fill(errors);
    Eigen::VectorXd values(16);
    for (Eigen::Index k = 0; k < 16; ++k) values(k) = distance(x.col(k));
    if (noise < 0) noise = std::sqrt((values.array() - values.mean()).square().mean());
    values += noise * errors.col(0);
    strategy->tell({values.data(), 16});
  }
  return distance(strategy->mean()) / start;
}

}  // namespace

TEST_CASE("es: candidates come in pairs around the mean", "[strategy]") {
  AntitheticEs strategy(settings_of(5, 7, 0.5));
  strategy.ask();
  strategy.tell(std::vector<double>{3, 1, 2, 5, 4, 6, 0});
  const Eigen::MatrixXd x = strategy.ask();
  for (Eigen::Index k = 0; k + 1 < 6; k += 2)
    CHECK(((x.col(k) + x.col(k + 1)) / 2 - strategy.mean()).cwiseAbs().maxCoeff() < 1e-15);
}

TEST_CASE("es: the first step is Adam's, the rate in the direction of the better candidate", "[strategy]") {
  AntitheticEs strategy(settings_of(6, 2, 0.5));
  const Eigen::MatrixXd x = strategy.ask();
  strategy.tell(std::vector<double>{2.0, -7.0});  // the second is better
  for (Eigen::Index i = 0; i < 6; ++i)
    CHECK(strategy.mean()(i) == Approx(std::copysign(AntitheticEs::kRate * 0.5, x(i, 1))).epsilon(1e-6));
  CHECK(strategy.step_size() == 0.5);
}

TEST_CASE("es: gains more than sep-cma where values are noise to a large part", "[strategy]") {
  const double es = progress("es", 300), sep_cma = progress("sep-cma", 300);
  CAPTURE(es, sep_cma);
  CHECK(es < 0.7 * sep_cma);
}
