// What every registered strategy must do where candidates are of equal value: prefer none, and keep its step size.
#include <boost/random/mersenne_twister.hpp>
#include <boost/random/normal_distribution.hpp>

#include "evolve/strategies/matrix.hpp"
#include "evolve/strategies/ranking.hpp"
#include "namm/strategy.hpp"
#include "tests/check.hpp"
#include "tests/evolve/golden.hpp"

using namespace namm;
using namespace namm::evolve;

namespace {

std::unique_ptr<Strategy> start_among_ties(const std::string& name, std::size_t dimension, double start, std::uint64_t seed,
                                           int population = 0) {
  return make_strategy(name, {dimension, population, 0.3, seed, std::vector<double>(dimension, start)});
}

/// Standard deviation of the next candidates about the mean, all coordinates together.
double spread_of(Strategy& strategy) {
  const auto x = as_matrix(strategy.ask());
  const Eigen::VectorXd mean = as_vector(strategy.mean());
  return std::sqrt((x.colwise() - mean).squaredNorm() / static_cast<double>(x.size()));
}

struct Drift {
  double length = 0;                                   ///< of the mean, from 0; the mean over seeds
  double least_step = INFINITY, largest_step = 0;      ///< in units of the start's
  double least_spread = INFINITY, largest_spread = 0;  ///< the same of the candidates
};

/// 60 generations of values that say nothing, ten seeds: of noise, or all `value`.
Drift drift(const std::string& name, std::size_t dimension, const double* value) {
  Drift out;
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    const auto strategy = start_among_ties(name, dimension, 0, seed);
    boost::random::mt19937_64 engine(seed);
    boost::random::normal_distribution<double> noise;
    for (int g = 0; g < 60; ++g) {
      std::vector<double> values(strategy->ask().count, value != nullptr ? *value : 0);
      if (value == nullptr)
        for (double& one : values) one = noise(engine);
      strategy->tell(values);
    }
    out.length += as_vector(strategy->mean()).norm() / 10;
    const double step = strategy->step_size() / 0.3, spread = spread_of(*strategy) / 0.3;
    out.least_step = std::min(out.least_step, step);
    out.largest_step = std::max(out.largest_step, step);
    out.least_spread = std::min(out.least_spread, spread);
    out.largest_spread = std::max(out.largest_spread, spread);
  }
  golden::report(name, ", n = ", dimension, value != nullptr ? ", constant" : ", noise", ": |mean| ", out.length, ", step ",
                 out.least_step, " to ", out.largest_step, ", spread ", out.least_spread, " to ", out.largest_spread);
  return out;
}

}  // namespace

TEST_CASE("shared weights: equal values have the mean of their ranks' weights, others exactly those given", "[strategy]") {
  const std::vector<double> by_rank = {0.7, 0.2, 0.1, 0.0, 0.0};
  const auto shares = [&](std::vector<double> values) { return share_weights(values, by_rank); };
  const SharedWeights different = shares({3, 1, NAN, 2, INFINITY});
  CHECK(different.of == std::vector<double>{0.1, 0.7, 0, 0.2, 0});
  CHECK_FALSE(different.tied);
  const SharedWeights best = shares({1, 5, 1, 6, 7});
  CHECK(best.of[0] == Approx(0.45));
  CHECK(best.of[0] == best.of[2]);
  CHECK(best.tied);
  const SharedWeights losers = shares({1, 2, 3, NAN, NAN});  // ranks that weigh the same
  CHECK(losers.of == by_rank);
  CHECK_FALSE(losers.tied);
  for (const double value : {4.0, static_cast<double>(NAN), static_cast<double>(INFINITY)})
    for (const double weight : shares(std::vector<double>(5, value)).of) CHECK(weight == Approx(0.2));
}

TEST_CASE("shared weights of pairs: the better of each, halves where neither is", "[strategy]") {
  const std::vector<double> by_rank = {0.6, 0.4, 0.0, 0.0, 0.0};
  const auto shares = [&](std::vector<double> values) { return share_pair_weights(values, by_rank); };
  CHECK(shares({4, 1, 2, 3, 0}).of == std::vector<double>{0, 0.4, 0, 0, 0.6});
  CHECK_FALSE(shares({4, 1, 2, 3, 0}).tied);
  CHECK(shares({NAN, INFINITY, 5, 5}).of == std::vector<double>{0, 0.4, 0.3, 0.3});
  CHECK(shares({5, 1, 1, 5}).of == std::vector<double>{0, 0.5, 0.5, 0});
  CHECK(shares({5, 1, 1, 5}).tied);
  CHECK(shares({}).of.empty());
}

TEST_CASE("every strategy: of candidates that are all equal the mean is the plain mean", "[strategy]") {
  for (const StrategyEntry& entry : strategy_registry()) {
    CAPTURE(entry.name);
    for (const double value : {1.0, static_cast<double>(NAN)}) {
      const auto strategy = start_among_ties(entry.name, 7, 1, 3, 8);  // even: an odd one out has no mirror image
      for (int g = 0; g < 4; ++g) {
        const Eigen::VectorXd plain = as_matrix(strategy->ask()).rowwise().mean();
        strategy->tell(std::vector<double>(8, value));
        CHECK((as_vector(strategy->mean()) - plain).cwiseAbs().maxCoeff() < 1e-14);
      }
    }
  }
}

TEST_CASE("every strategy: a constant fitness moves the mean less than noise does, and leaves the step size", "[strategy]") {
  for (const StrategyEntry& entry : strategy_registry()) {
    for (const std::size_t dimension : {30u, 90u}) {
      CAPTURE(entry.name, dimension);
      const Drift noise = drift(entry.name, dimension, nullptr);
      for (const double value : {1.0, static_cast<double>(NAN)}) {
        const Drift constant = drift(entry.name, dimension, &value);
        CHECK(constant.length < 0.75 * noise.length);  // measured: at most 0.61
        CHECK(constant.least_step > 0.4);              // 0.56
        CHECK(constant.largest_step < 2.5);            // 1.7
        CHECK(constant.least_spread > 0.4);            // 0.51
        CHECK(constant.largest_spread < 2.5);          // 1.9
      }
    }
  }
}

TEST_CASE("every strategy: progresses where values come in steps", "[strategy]") {
  for (const StrategyEntry& entry : strategy_registry()) {
    for (const std::size_t dimension : {5u, 30u, 90u}) {
      CAPTURE(entry.name, dimension);
      double left = 0;  // of 1, the mean of three seeds
      for (std::uint64_t seed = 1; seed <= 3; ++seed) {
        const auto strategy = start_among_ties(entry.name, dimension, 1, seed);
        for (int g = 0; g < 200; ++g) {
          const auto x = as_matrix(strategy->ask());
          std::vector<double> values;
          for (Eigen::Index k = 0; k < x.cols(); ++k) values.push_back(std::floor(10 * x.col(k).squaredNorm()) / 10);
          strategy->tell(values);
        }
        left += as_vector(strategy->mean()).squaredNorm() / static_cast<double>(dimension) / 3;
      }
      golden::report(entry.name, ", n = ", dimension, ", values in steps of 0.1: ", left, " left");
      CHECK(left < 0.03);  // measured: at most 0.011, where one step is 0.02
    }
  }
}
