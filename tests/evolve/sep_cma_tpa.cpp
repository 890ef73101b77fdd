// What sep-cma-tpa promises beyond the contract: the test pair, the step size's answer to it, pairs as parents.
#include "evolve/strategies/sep_cma_tpa.hpp"

#include "tests/check.hpp"
#include "tests/evolve/golden.hpp"

using namespace namm;
using namespace namm::evolve;

namespace {

StrategySettings tpa_settings(std::size_t dimension, int population) {
  StrategySettings settings;
  settings.dimension = dimension;
  settings.population = population;
  settings.step_size = 0.5;
  settings.seed = 4;
  return settings;
}

}  // namespace

TEST_CASE("sep-cma-tpa: a generation starts with the last step, forwards and backwards", "[strategy]") {
  for (const int population : {4, 7}) {
    SepCmaTpa strategy(tpa_settings(5, population));
    for (int g = 0; g < 6; ++g) {
      const Eigen::VectorXd before = as_vector(strategy.mean());
      const Eigen::MatrixXd first = as_matrix(strategy.ask());
      for (Eigen::Index k = 0; k + 1 < first.cols(); k += 2)
        CHECK(((first.col(k) + first.col(k + 1)) / 2 - before).cwiseAbs().maxCoeff() < 1e-15);
      std::vector<double> values;
      for (Eigen::Index k = 0; k < first.cols(); ++k) values.push_back((first.col(k).array() - 1).square().sum());
      strategy.tell(values);
      const Eigen::VectorXd mean = as_vector(strategy.mean());
      const Eigen::VectorXd step = mean - before, test = as_matrix(strategy.ask()).col(0) - mean;
      CHECK(test.normalized().dot(step.normalized()) == Approx(1).epsilon(1e-12));
    }
  }
}

TEST_CASE("sep-cma-tpa: the step size follows the ranks of the test pair", "[strategy]") {
  SepCmaTpa strategy(tpa_settings(16, 6));
  strategy.ask();
  strategy.tell(std::vector<double>{6, 5, 4, 3, 2, 1});
  CHECK(strategy.step_size() == 0.5);  // nothing was tested yet
  double trend = 0, step_size = 0.5;
  const auto expect = [&](std::vector<double> values, double result) {
    strategy.ask();
    strategy.tell(values);
    trend = 0.7 * trend + 0.3 * result;
    step_size *= std::exp(trend / 4);  // √16
    CHECK(strategy.step_size() == Approx(step_size).epsilon(1e-12));
  };
  expect({0, 9, 1, 2, 3, 4}, 1.0);  // forwards best, backwards worst
  expect({2, 3, 0, 1, 4, 5}, 0.2);  // one rank of five
  expect({5, 5, 1, 2, 3, 4}, 0.0);  // equal
  expect({NAN, NAN, 1, 2, 3, 4}, 0.0);
  expect({NAN, 0, 1, 2, 3, 4}, -1.0);
  expect({1, 4, 4, 4, 4, 4}, 0.6);   // the best, and in the middle of five
  expect({2, 1, 1, 2, 2, 2}, -0.6);  // mean ranks 3.5 and 0.5
}

TEST_CASE("sep-cma-tpa: with one pair a step, the search is not confined to a line", "[strategy]") {
  SepCmaTpa strategy(tpa_settings(6, 2));
  for (int g = 0; g < 600; ++g) {
    const auto x = as_matrix(strategy.ask());
    strategy.tell(std::vector<double>{(x.col(0).array() - 1).square().sum(), (x.col(1).array() - 1).square().sum()});
  }
  CHECK((as_vector(strategy.mean()).array() - 1).square().sum() < 1e-4);  // 6 at the start
}

TEST_CASE("slower comparisons: sep-cma-tpa on a sphere in 1000 dimensions", "[.][quality]") {
  const nlohmann::json all = golden::load("es_quality.json");
  StrategySettings settings = tpa_settings(1000, 24);
  settings.step_size = 1;
  settings.mean.assign(1000, 3.0);
  SepCmaTpa strategy(settings);
  int count = 0;
  for (double best = INFINITY; best > 1e-8 && count < 200000; count += 24) {
    const auto x = as_matrix(strategy.ask());
    std::vector<double> values;
    for (Eigen::Index k = 0; k < x.cols(); ++k) values.push_back(x.col(k).squaredNorm());
    best = std::min(best, *std::min_element(values.begin(), values.end()));
    strategy.tell(values);
  }
  const double expected = all.at("results").at("sphere_n1000").at("pycma_diagonal").at("median").get<double>();
  golden::report("sep-cma-tpa, sphere n = 1000: ", count, " evaluations, pycma with TPA ", expected);
  CHECK(count <= 1.15 * expected);
}
