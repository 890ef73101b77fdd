// The antithetic strategy's own promises.
#include "evolve/strategies/es.hpp"

#include <cmath>

#include "tests/check.hpp"

using namespace namm;
using namespace namm::evolve;

namespace {

StrategySettings es_settings(std::size_t dimension, int population, double step_size) {
  StrategySettings settings;
  settings.dimension = dimension;
  settings.population = population;
  settings.step_size = step_size;
  settings.seed = 4;
  return settings;
}

}  // namespace

TEST_CASE("es: candidates come in pairs around the mean", "[strategy]") {
  AntitheticEs strategy(es_settings(5, 7, 0.5));
  strategy.ask();
  strategy.tell(std::vector<double>{3, 1, 2, 5, 4, 6, 0});
  const Eigen::MatrixXd x = as_matrix(strategy.ask());
  for (Eigen::Index k = 0; k + 1 < 6; k += 2)
    CHECK(((x.col(k) + x.col(k + 1)) / 2 - as_vector(strategy.mean())).cwiseAbs().maxCoeff() < 1e-15);
}

TEST_CASE("es: the first step is Adam's, the rate in the direction of the better candidate", "[strategy]") {
  AntitheticEs strategy(es_settings(6, 2, 0.5));
  const Eigen::MatrixXd x = as_matrix(strategy.ask());
  strategy.tell(std::vector<double>{2.0, -7.0});  // the second is better
  for (Eigen::Index i = 0; i < 6; ++i)
    CHECK(strategy.mean()[static_cast<std::size_t>(i)] ==
          Approx(std::copysign(AntitheticEs::kRate * 0.5, x(i, 1))).epsilon(1e-6));
  CHECK(strategy.step_size() == 0.5);
}
