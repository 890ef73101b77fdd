// CR-FM-NES against recorded runs of its published implementation (cr_fm_nes_record.py wrote the numbers).
#include "evolve/strategies/cr_fm_nes.hpp"

#include <set>

#include "evolve/strategies/state_fields.hpp"
#include "tests/check.hpp"
#include "tests/evolve/functions.hpp"
#include "tests/evolve/golden.hpp"

using namespace namm;
using namespace namm::evolve;
using namespace namm::test;

namespace {

nlohmann::json recorded() {
  std::ifstream in(NAMM_SOURCE_DIR "/tests/evolve/cr_fm_nes.json");
  return nlohmann::json::parse(in);
}

/// The script's draws: uniform with variance 1.
class Draws {
 public:
  Eigen::MatrixXd operator()(Eigen::Index rows, Eigen::Index columns) {
    Eigen::MatrixXd out(rows, columns);
    for (Eigen::Index i = 0; i < out.size(); ++i) {
      state_ = state_ * 6364136223846793005u + 1442695040888963407u;
      out.data()[i] = std::sqrt(12.0) * (static_cast<double>(state_ >> 11) * 0x1p-53 - 0.5);
    }
    return out;
  }

 private:
  std::uint64_t state_ = 1;
};

StrategySettings nes_settings(std::size_t n, int population, double start, double step_size, std::uint64_t seed = 1) {
  StrategySettings settings;
  settings.dimension = n;
  settings.population = population;
  settings.step_size = step_size;
  settings.seed = seed;
  settings.mean.assign(n, start);
  return settings;
}

template <class Function>
double best_after(CrFmNes& strategy, const Eigen::MatrixXd& x, const Function& function) {
  std::vector<double> values;
  for (Eigen::Index k = 0; k < x.cols(); ++k) values.push_back(function(x.col(k)));
  strategy.tell(values);
  return *std::min_element(values.begin(), values.end());
}

/// Evaluations until the best value is at 1e-8, in whole generations: the median of 11 seeds over the recorded one.
template <class Function>
double ratio_to_recorded(const char* key, const Function& function) {
  const nlohmann::json expected = recorded().at("medians").at(key);
  std::vector<int> counts;
  for (std::uint64_t seed = 1; seed <= 11; ++seed) {
    CrFmNes strategy(nes_settings(expected.at("n"), expected.at("population"), expected.at("start"), expected.at("sigma"), seed));
    int count = 0;
    for (double best = INFINITY; best > 1e-8 && count < 60000; count += strategy.population())
      best = std::min(best, best_after(strategy, as_matrix(strategy.ask()), function));
    counts.push_back(count);
  }
  std::sort(counts.begin(), counts.end());
  golden::report("cr-fm-nes ", key, ": median ", counts[5], " evaluations, recorded ", expected.at("median"), " (reached ",
                 expected.at("reached"), " of 11)");
  return counts[5] / expected.at("median").get<double>();
}

}  // namespace

TEST_CASE("cr-fm-nes follows its published implementation, draw by draw", "[golden]") {
  std::set<std::string> phases;
  const nlohmann::json all = recorded();
  CHECK(all.at("trajectories").size() == 3);
  for (const auto& run : all.at("trajectories")) {
    const auto n = run.at("n").get<std::size_t>();
    CrFmNes strategy(nes_settings(n, run.at("population"), run.at("start"), run.at("sigma")));
    nlohmann::json state = strategy.state();
    state["v"] = field::from_vector(Eigen::VectorXd::LinSpaced(static_cast<Eigen::Index>(n), 0.1, 0.1 * static_cast<double>(n)));
    strategy.restore(state);
    Draws draws;
    double worst = 0;
    for (const auto& expected : run.at("generations")) {
      const auto generation = expected.at("generation").get<std::int64_t>();
      CAPTURE(run.at("start").get<double>(), generation);
      while (strategy.generation() < generation) {
        const Eigen::MatrixXd& x = strategy.ask_with(draws(static_cast<Eigen::Index>(n), strategy.population() / 2));
        best_after(strategy, x, [](const Eigen::VectorXd& p) { return ellipsoid(p, 3) + 10 * p.sum() * p.sum(); });
      }
      const nlohmann::json got = strategy.state();
      for (const char* name : {"mean", "v", "d", "p_sigma", "p_c"}) {
        CAPTURE(name);
        const double error = golden::error(golden::vector(got.at(name)), golden::vector(expected.at(name)));
        CHECK(error <= 1e-10);
        worst = std::max(worst, error);
      }
      CHECK(golden::error(strategy.step_size(), expected.at("step_size").get<double>()) <= 1e-10);
    }
    for (const auto& [phase, generations] : run.at("phases").items())
      if (generations.get<int>() > 0) phases.insert(phase);
    golden::report("cr-fm-nes from ", run.at("start"), ": largest relative error ", worst);
  }
  CHECK(phases == std::set<std::string>{"converging", "moving", "stagnating"});  // every rate of the step size was seen
}

TEST_CASE("cr-fm-nes needs as many evaluations as its published implementation", "[golden]") {
  CHECK(std::abs(ratio_to_recorded("sphere", sphere) - 1) <= 0.15);
  CHECK(std::abs(ratio_to_recorded("ellipsoid", [](const Eigen::VectorXd& x) { return ellipsoid(x, 6); }) - 1) <= 0.15);
}

TEST_CASE("slower comparisons: cr-fm-nes", "[.][quality]") {
  CHECK(std::abs(ratio_to_recorded("rosenbrock", rosenbrock) - 1) <= 0.15);
}
