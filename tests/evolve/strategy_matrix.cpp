// What every registered strategy must do.
#include <chrono>
#include <stdexcept>

#include <nlohmann/json.hpp>

#include "evolve/strategies/cma.hpp"
#include "namm/strategy.hpp"
#include "tests/check.hpp"
#include "tests/evolve/functions.hpp"
#include "tests/evolve/golden.hpp"

using namespace namm;
using namespace namm::evolve;
using namespace namm::test;

namespace {

StrategySettings settings_of(std::size_t dimension, std::uint64_t seed = 3, int population = 0) {
  StrategySettings settings;
  settings.dimension = dimension;
  settings.population = population;
  settings.seed = seed;
  settings.step_size = 0.5;
  settings.mean.assign(dimension, 1.0);
  return settings;
}

Eigen::Map<const Eigen::MatrixXd> ask(Strategy& strategy) {
  return as_matrix(strategy.ask());
}

Eigen::VectorXd mean_of(const Strategy& strategy) {
  return as_vector(strategy.mean());
}

std::vector<double> evaluate(const Eigen::MatrixXd& x, double digits = 3) {
  std::vector<double> values;
  for (Eigen::Index k = 0; k < x.cols(); ++k) values.push_back(ellipsoid(x.col(k), digits));
  return values;
}

void advance(Strategy& strategy, int generations, double digits = 3) {
  for (int g = 0; g < generations; ++g) strategy.tell(evaluate(ask(strategy), digits));
}

std::string dump(const Strategy& strategy) {
  return strategy.state().dump();
}

}  // namespace

TEST_CASE("every strategy: ask and tell keep their contract", "[strategy]") {
  for (const StrategyEntry& entry : strategy_registry()) {
    CAPTURE(entry.name);
    for (std::size_t dimension : {1u, 2u, 7u, 30u}) {
      CAPTURE(dimension);
      const auto strategy = make_strategy(entry.name, settings_of(dimension));
      CHECK(strategy->name() == entry.name);
      CHECK(strategy->dimension() == dimension);
      CHECK(strategy->population() == 4 + static_cast<int>(3 * std::log(static_cast<double>(dimension))));
      CHECK(strategy->generation() == 0);
      CHECK(strategy->step_size() == 0.5);
      CHECK(mean_of(*strategy) == Eigen::VectorXd::Ones(static_cast<Eigen::Index>(dimension)));
      CHECK_THROWS_AS(strategy->tell(std::vector<double>(static_cast<std::size_t>(strategy->population()))),
                      std::invalid_argument);

      const Eigen::MatrixXd first = ask(*strategy);
      CHECK(first.rows() == static_cast<Eigen::Index>(dimension));
      CHECK(first.cols() == strategy->population());
      CHECK(first == ask(*strategy));
      const std::string before = dump(*strategy);
      for (int wrong : {0, strategy->population() - 1, strategy->population() + 1}) {
        CHECK_THROWS_AS(strategy->tell(std::vector<double>(static_cast<std::size_t>(wrong))), std::invalid_argument);
      }
      CHECK(dump(*strategy) == before);
      strategy->tell(evaluate(first));
      CHECK(strategy->generation() == 1);
      CHECK_FALSE(first == ask(*strategy));
    }
  }
}

TEST_CASE("every strategy: the same seed gives the same run, another seed another", "[strategy]") {
  for (const StrategyEntry& entry : strategy_registry()) {
    CAPTURE(entry.name);
    const auto a = make_strategy(entry.name, settings_of(6, 11)), b = make_strategy(entry.name, settings_of(6, 11)),
               c = make_strategy(entry.name, settings_of(6, 12));
    for (Strategy* s : {a.get(), b.get(), c.get()}) advance(*s, 20);
    CHECK(dump(*a) == dump(*b));
    CHECK(dump(*a) != dump(*c));
  }
}

TEST_CASE("every strategy: continues identically from its saved state", "[strategy]") {
  for (const StrategyEntry& entry : strategy_registry()) {
    CAPTURE(entry.name);
    for (std::size_t dimension : {1u, 6u, 150u}) {  // at 150 the full covariance is not decomposed every generation
      CAPTURE(dimension);
      const int population = dimension == 150 ? 6 : 0;
      const auto original = make_strategy(entry.name, settings_of(dimension, 5, population));
      for (int g = 0; g < 12; ++g) {
        CAPTURE(g);
        const auto copy = make_strategy(entry.name, settings_of(dimension, 99, population));
        copy->restore(nlohmann::json::parse(dump(*original)));  // between tell and ask
        CHECK(dump(*copy) == dump(*original));
        CHECK(ask(*copy) == ask(*original));

        const auto waiting = make_strategy(entry.name, settings_of(dimension, 98, population));
        waiting->restore(nlohmann::json::parse(dump(*original)));  // between ask and tell
        const std::vector<double> values = evaluate(ask(*original));
        waiting->tell(values);
        copy->tell(values);
        original->tell(values);
        CHECK(dump(*waiting) == dump(*original));
        CHECK(dump(*copy) == dump(*original));
      }
    }
  }
}

TEST_CASE("every strategy: a foreign or damaged state is refused and changes nothing", "[strategy]") {
  for (const StrategyEntry& entry : strategy_registry()) {
    CAPTURE(entry.name);
    const auto strategy = make_strategy(entry.name, settings_of(4));
    advance(*strategy, 3);
    const nlohmann::json good = strategy->state();
    for (const StrategyEntry& other : strategy_registry()) {
      if (other.name != entry.name) {
        CHECK_THROWS_AS(strategy->restore(make_strategy(other.name, settings_of(4))->state()), std::runtime_error);
      }
    }
    CHECK_THROWS_AS(strategy->restore(make_strategy(entry.name, settings_of(5))->state()), std::runtime_error);
    CHECK_THROWS_AS(strategy->restore(make_strategy(entry.name, settings_of(4, 1, 9))->state()), std::runtime_error);
    CHECK_THROWS_AS(strategy->restore(nlohmann::json::array()), std::runtime_error);
    CHECK_THROWS_AS(strategy->restore(nlohmann::json::object()), std::runtime_error);
    for (const auto& [key, value] : good.items()) {
      CAPTURE(key);
      nlohmann::json damaged = good;
      damaged.erase(key);
      CHECK_THROWS_AS(strategy->restore(damaged), std::runtime_error);
      damaged[key] = nlohmann::json::object();
      CHECK_THROWS_AS(strategy->restore(damaged), std::runtime_error);
      if (value.is_string()) {
        damaged[key] = value.get<std::string>().substr(0, value.get<std::string>().size() / 2);
        CHECK_THROWS_AS(strategy->restore(damaged), std::runtime_error);
      }
    }
    CHECK(strategy->state() == good);
  }
}

TEST_CASE("every strategy: only ranks count, and the scale of the parameters is that of the step size", "[strategy]") {
  for (const StrategyEntry& entry : strategy_registry()) {
    CAPTURE(entry.name);
    StrategySettings large = settings_of(6);
    large.step_size *= 4;
    for (double& m : large.mean) m *= 4;
    const auto plain = make_strategy(entry.name, settings_of(6)), bent = make_strategy(entry.name, settings_of(6)),
               scaled = make_strategy(entry.name, large);
    for (int g = 0; g < 30; ++g) {
      const std::vector<double> values = evaluate(ask(*plain)), same = evaluate(ask(*scaled) / 4);
      std::vector<double> monotone;
      for (double v : evaluate(ask(*bent))) monotone.push_back(std::cbrt(v) - 7);
      plain->tell(values);
      bent->tell(monotone);
      scaled->tell(same);
    }
    CHECK(dump(*bent) == dump(*plain));
    CHECK((mean_of(*scaled) / 4 - mean_of(*plain)).cwiseAbs().maxCoeff() < 1e-6 * mean_of(*plain).cwiseAbs().maxCoeff());
    CHECK(scaled->step_size() == Approx(4 * plain->step_size()).epsilon(1e-6));
  }
}

TEST_CASE("every strategy: NaN counts as the worst value", "[strategy]") {
  for (const StrategyEntry& entry : strategy_registry()) {
    CAPTURE(entry.name);
    const auto with_nan = make_strategy(entry.name, settings_of(5)), with_huge = make_strategy(entry.name, settings_of(5));
    for (int g = 0; g < 5; ++g) {
      std::vector<double> values = evaluate(ask(*with_nan));
      with_huge->ask();
      values[2] = NAN;
      with_nan->tell(values);
      values[2] = 1e300;
      with_huge->tell(values);
    }
    CHECK(dump(*with_nan) == dump(*with_huge));
    with_nan->ask();
    with_nan->tell(std::vector<double>(static_cast<std::size_t>(with_nan->population()), NAN));
    CHECK(mean_of(*with_nan).allFinite());
    CHECK(ask(*with_nan).allFinite());
  }
}

TEST_CASE("every strategy: wrong settings are refused in one line", "[strategy]") {
  for (const StrategyEntry& entry : strategy_registry()) {
    CAPTURE(entry.name);
    StrategySettings s = settings_of(4);
    s.population = 1;
    CHECK_THROWS_WITH(make_strategy(entry.name, s), Contains("population: must be at least 2") && Contains("is 1"));
    s.population = -3;
    CHECK_THROWS_AS(make_strategy(entry.name, s), std::invalid_argument);
    CHECK_THROWS_AS(make_strategy(entry.name, settings_of(0)), std::invalid_argument);
    for (double step : {0.0, -1.0, static_cast<double>(NAN), static_cast<double>(INFINITY)}) {
      s = settings_of(4);
      s.step_size = step;
      CHECK_THROWS_AS(make_strategy(entry.name, s), std::invalid_argument);
    }
    s = settings_of(4);
    s.mean.pop_back();
    CHECK_THROWS_AS(make_strategy(entry.name, s), std::invalid_argument);
    s = settings_of(4);
    s.mean[1] = NAN;
    CHECK_THROWS_AS(make_strategy(entry.name, s), std::invalid_argument);
  }
  CHECK_THROWS_WITH(make_strategy("cmaa", settings_of(4)), Contains("cmaa") && Contains("nearest: cma"));
}

TEST_CASE("every strategy: the smallest population works", "[strategy]") {
  for (const StrategyEntry& entry : strategy_registry()) {
    CAPTURE(entry.name);
    for (std::size_t dimension : {1u, 5u}) {
      for (int population : {2, 3}) {
        const auto strategy = make_strategy(entry.name, settings_of(dimension, 1, population));
        advance(*strategy, 200);
        CHECK(mean_of(*strategy).allFinite());
        CHECK(ask(*strategy).allFinite());
        CHECK(std::isfinite(strategy->step_size()));
      }
    }
  }
}

TEST_CASE("every strategy: converges on a sphere and on an ellipsoid, and stays finite far beyond", "[strategy]") {
  for (const StrategyEntry& entry : strategy_registry()) {
    CAPTURE(entry.name);
    const bool fixed_step = entry.name == "es";  // it stays about a step size away from an optimum
    for (std::size_t dimension : {1u, 2u, 10u}) {
      for (double digits : {0.0, 3.0}) {
        CAPTURE(dimension, digits);
        const auto strategy = make_strategy(entry.name, settings_of(dimension));
        advance(*strategy, 500, digits);
        const double start = ellipsoid(Eigen::VectorXd::Ones(static_cast<Eigen::Index>(dimension)), digits);
        CHECK(ellipsoid(mean_of(*strategy), digits) < (fixed_step ? 0.05 * start : 1e-8));
        advance(*strategy, 3000, digits);
        CHECK(ask(*strategy).allFinite());
        CHECK_NOTHROW(strategy->restore(nlohmann::json::parse(dump(*strategy))));
      }
    }
    // No optimum at all: the step size may grow and everything stays finite.
    const auto diverging = make_strategy(entry.name, settings_of(5));
    for (int g = 0; g < 2000; ++g) {
      std::vector<double> values;
      const auto x = ask(*diverging);
      for (Eigen::Index k = 0; k < x.cols(); ++k) values.push_back(x(0, k));
      diverging->tell(values);
    }
    CHECK(ask(*diverging).allFinite());
    CHECK(std::isfinite(diverging->step_size()));
  }
}

TEST_CASE("every strategy: usable with the 4,172 parameters of the published network", "[.][large]") {
  for (const StrategyEntry& entry : strategy_registry()) {
    StrategySettings settings = settings_of(4172, 1, 32);
    settings.step_size = 0.065;
    const auto strategy = make_strategy(entry.name, settings);
    double slowest = 0, sum = 0;
    for (int g = 0; g < 28; ++g) {
      const auto start = std::chrono::steady_clock::now();
      const auto x = ask(*strategy);
      std::vector<double> values;
      for (Eigen::Index k = 0; k < x.cols(); ++k) values.push_back(x.col(k).squaredNorm());
      strategy->tell(values);
      const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      slowest = std::max(slowest, seconds);
      sum += seconds;
    }
    const auto start = std::chrono::steady_clock::now();
    const std::string saved = dump(*strategy);
    const auto copy = make_strategy(entry.name, settings);
    copy->restore(nlohmann::json::parse(saved));
    CHECK(ask(*copy) == ask(*strategy));
    golden::report(entry.name, ", n = 4172: 28 generations in ", sum, " s, the slowest ", slowest, " s; state of ", saved.size(),
                   " bytes, saved and restored in ",
                   std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(), " s");
  }
}
