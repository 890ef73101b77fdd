// One generation and whole runs against recorded runs of other implementations, with their draws.
#include "evolve/strategies/cma.hpp"
#include "evolve/strategies/sep_cma.hpp"
#include "tests/check.hpp"
#include "tests/evolve/golden.hpp"

using namespace namm;
using namespace namm::evolve;

namespace {

constexpr double kOneStep = 1e-12, kWholeRun = 1e-10;

double sum_of_scaled_squares(const Eigen::VectorXd& x) {
  double sum = 0;
  for (Eigen::Index i = 0; i < x.size(); ++i) {
    sum += std::pow(10.0, 6.0 * static_cast<double>(i) / static_cast<double>(x.size() - 1)) * x(i) * x(i);
  }
  return sum;
}

CmaDistribution stored(const nlohmann::json& generation, std::int64_t number) {
  CmaDistribution d;
  d.generation = number;
  d.mean = golden::vector(generation.at("mean"));
  d.step_size = generation.at("sigma").get<double>();
  d.p_sigma = golden::vector(generation.at("p_sigma"));
  d.p_c = golden::vector(generation.at("p_c"));
  const nlohmann::json& c = generation.at("C");
  d.covariance = c[0].is_array() ? golden::columns(c) : Eigen::MatrixXd(golden::vector(c));
  return d;
}

double compare(const CmaDistribution& got, const CmaDistribution& expected) {
  Eigen::MatrixXd lower = expected.covariance, mine = got.covariance;
  if (lower.cols() > 1) {  // only the lower triangle is kept up to date
    lower = lower.triangularView<Eigen::Lower>();
    mine = mine.triangularView<Eigen::Lower>();
  }
  return std::max({golden::error(got.mean, expected.mean), golden::error(got.step_size, expected.step_size),
                   golden::error(got.p_sigma, expected.p_sigma), golden::error(got.p_c, expected.p_c),
                   golden::error(mine, lower)});
}

template <class Make>
void replay(const char* file, const char* variant, Make make) {
  const nlohmann::json all = golden::load(file);
  double worst_step = 0, worst_run = 0;
  for (const auto& one : all.at("cases")) {
    CAPTURE(one.at("name").get<std::string>());
    StrategySettings settings;
    settings.dimension = one.at("n").get<std::size_t>();
    settings.population = one.at("lambda").get<int>();
    settings.step_size = one.at("sigma0").get<double>();
    settings.mean = one.at("mean0").get<std::vector<double>>();
    const nlohmann::json& generations = one.at("variants").at(variant).at("gens");

    auto step = make(settings);
    auto run = make(settings);
    for (std::size_t g = 0; g < generations.size(); ++g) {
      CAPTURE(g);
      const nlohmann::json& now = generations[g];
      const CmaDistribution expected = stored(now, static_cast<std::int64_t>(g) + 1);
      if (g > 0) step.set_distribution(stored(generations[g - 1], static_cast<std::int64_t>(g)));
      step.tell_with(golden::columns(now.at("x")), now.at("f").get<std::vector<double>>());
      const double step_error = compare(step.distribution(), expected);
      CHECK(step_error <= kOneStep);
      worst_step = std::max(worst_step, step_error);

      const Eigen::MatrixXd& x = run.ask_with(golden::columns(one.at("z")[g]));
      std::vector<double> values;
      for (Eigen::Index k = 0; k < x.cols(); ++k) values.push_back(sum_of_scaled_squares(x.col(k)));
      const double x_error = golden::error(x, golden::columns(now.at("x")));
      run.tell(values);
      const double run_error = std::max(x_error, compare(run.distribution(), expected));
      CHECK(run_error <= kWholeRun);
      worst_run = std::max(worst_run, run_error);
    }
  }
  golden::report(file, " ", variant, ": largest relative error of one step ", worst_step, ", of a whole run ", worst_run);
}

}  // namespace

TEST_CASE("cma follows the reference optimiser, draw by draw", "[golden]") {
  replay("cma_trajectory.json", "reference_float64", [](const StrategySettings& s) { return Cma(s); });
}

TEST_CASE("cma with the conventions of the package cmaes follows it, draw by draw", "[golden]") {
  replay("cma_trajectory.json", "cmaes_CMA", [](const StrategySettings& s) { return Cma(s, kCmaesPackage); });
}

TEST_CASE("sep-cma follows cmaes.SepCMA, draw by draw", "[golden]") {
  replay("sep_cma_trajectory.json", "cmaes_SepCMA", [](const StrategySettings& s) { return SepCma(s); });
}
