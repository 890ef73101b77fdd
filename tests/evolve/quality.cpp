// Evaluations to a target, 11 seeds, against the medians of the source whose coefficients are used; see README-evolution.md.
#include <functional>
#include <optional>

#include <boost/random/mersenne_twister.hpp>
#include <boost/random/normal_distribution.hpp>

#include "evolve/strategies/matrix.hpp"
#include "namm/strategy.hpp"
#include "tests/check.hpp"
#include "tests/evolve/functions.hpp"
#include "tests/evolve/golden.hpp"

using namespace namm;
using namespace namm::evolve;
using namespace namm::test;

namespace {

constexpr double kBar = 0.15;
constexpr int kSeeds = 11;
using Function = std::function<double(const Eigen::VectorXd&)>;

double steep(const Eigen::VectorXd& x) {
  return ellipsoid(x, 6);
}

std::unique_ptr<Strategy> start(const char* name, const nlohmann::json& f, std::uint64_t seed, int population = 0) {
  StrategySettings settings;
  settings.dimension = f.at("n").get<std::size_t>();
  settings.population = population;
  settings.step_size = f.at("sigma0").get<double>();
  settings.mean.assign(settings.dimension, f.at("x0").get<double>());
  settings.seed = seed;
  return make_strategy(name, settings);
}

/// Evaluations, in whole generations, until the best value seen is at the target.
std::optional<double> evaluations(Strategy& strategy, const nlohmann::json& f, const Function& function) {
  const double target = f.at("target").get<double>();
  double best = INFINITY;
  for (int done = 0; done < f.at("cap_evals").get<int>();) {
    const auto x = as_matrix(strategy.ask());
    std::vector<double> values;
    for (Eigen::Index k = 0; k < x.cols(); ++k) values.push_back(function(x.col(k)));
    strategy.tell(values);
    done += strategy.population();
    best = std::min(best, *std::min_element(values.begin(), values.end()));
    if (best <= target) return done;
  }
  return std::nullopt;
}

void compare(const char* name, const char* key, const Function& function, std::initializer_list<const char*> sources) {
  const nlohmann::json all = golden::load("es_quality.json");
  const nlohmann::json& f = all.at("functions").at(key);
  std::vector<double> counts;
  int reached = 0;
  for (int seed = 1; seed <= kSeeds; ++seed) {
    const auto strategy = start(name, f, static_cast<std::uint64_t>(seed));
    const std::optional<double> count = evaluations(*strategy, f, function);
    counts.push_back(count.value_or(INFINITY));
    reached += count.has_value();
  }
  std::sort(counts.begin(), counts.end());
  const double median = counts[kSeeds / 2];
  for (const char* source : sources) {
    CAPTURE(name, key, source, median);
    const nlohmann::json& expected = all.at("results").at(key).at(source);
    if (expected.at("median").is_null()) {
      CHECK(reached == 0);  // a diagonal covariance cannot solve it; if ours did, the comparison would be with something else
      golden::report(name, " ", key, ": reached by ", reached, " of 11, ", source, " by 0");
    } else {
      const double ratio = median / expected.at("median").get<double>();
      CHECK(std::abs(ratio - 1) <= kBar);
      golden::report(name, " ", key, ": median ", median, ", ", source, " ", expected.at("median"), ", ratio ", ratio,
                     ", reached ", reached);
    }
  }
}

void compare_noisy(const char* name, int population, std::initializer_list<const char*> sources) {
  const nlohmann::json all = golden::load("es_quality.json");
  const nlohmann::json f = {{"n", 20}, {"x0", 3.0}, {"sigma0", 1.0}};
  std::vector<double> distances;
  for (int seed = 1; seed <= kSeeds; ++seed) {
    const auto strategy = start(name, f, static_cast<std::uint64_t>(seed), population);
    boost::random::mt19937_64 engine(static_cast<std::uint64_t>(1000 + seed));
    boost::random::normal_distribution<double> noise;
    for (int done = 0; done < 10000; done += population) {
      const auto x = as_matrix(strategy->ask());
      std::vector<double> values;
      for (Eigen::Index k = 0; k < x.cols(); ++k) values.push_back(sphere(x.col(k)) + noise(engine));
      strategy->tell(values);
    }
    distances.push_back(as_vector(strategy->mean()).norm());
  }
  std::sort(distances.begin(), distances.end());
  const double median = distances[kSeeds / 2];
  for (const char* source : sources) {
    CAPTURE(name, population, source, median);
    const nlohmann::json& expected = all.at("noisy_sphere_n20").at(source).at("lambda_" + std::to_string(population));
    const double ratio = median / expected.at("median").get<double>();
    CHECK(ratio <= 1 + kBar);
    golden::report(name, " noisy sphere, population ", population, ": median distance ", median, " (quartiles ", distances[2],
                   ", ", distances[8], "), ", source, " ", expected.at("median"), " (", expected.at("q1"), ", ",
                   expected.at("q3"), "), ratio ", ratio);
  }
}

}  // namespace

TEST_CASE("cma needs as many evaluations as the implementations with its coefficients", "[golden]") {
  compare("cma", "sphere_n20", sphere, {"reference_float64", "cmaes_CMA"});
  compare("cma", "ellipsoid_n20", steep, {"reference_float64", "cmaes_CMA"});
}

TEST_CASE("sep-cma needs as many evaluations as cmaes.SepCMA", "[golden]") {
  compare("sep-cma", "sphere_n20", sphere, {"cmaes_SepCMA"});
  compare("sep-cma", "ellipsoid_n20", steep, {"cmaes_SepCMA"});
}

TEST_CASE("slower comparisons: rotated ellipsoid and Rosenbrock", "[.][quality]") {
  const Eigen::MatrixXd rotation = golden::columns(golden::load("es_quality.json").at("rotation_n20")).transpose();
  const Function rotated = [&](const Eigen::VectorXd& x) { return steep(rotation * x); };
  compare("cma", "rotated_ellipsoid_n20", rotated, {"reference_float64", "cmaes_CMA"});
  compare("cma", "rosenbrock_n20", rosenbrock, {"reference_float64", "cmaes_CMA"});
  compare("sep-cma", "rotated_ellipsoid_n20", rotated, {"cmaes_SepCMA"});
  compare("sep-cma", "rosenbrock_n20", rosenbrock, {"cmaes_SepCMA"});
}

TEST_CASE("slower comparisons: sphere in 1000 dimensions", "[.][quality]") {
  compare("sep-cma", "sphere_n1000", sphere, {"cmaes_SepCMA"});
}

TEST_CASE("slower comparisons: noisy sphere", "[.][quality]") {
  for (int population : {12, 32}) {
    compare_noisy("cma", population, {"reference_float64", "cmaes_CMA"});
    compare_noisy("sep-cma", population, {"cmaes_SepCMA"});
  }
}
