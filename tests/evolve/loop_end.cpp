// When a run ends, how it begins anew, and what it says about its noise.
#include <boost/random/mersenne_twister.hpp>
#include <boost/random/normal_distribution.hpp>

#include "core/policy_file.hpp"
#include "evolve/loop.hpp"
#include "evolve/noise.hpp"
#include "tests/check.hpp"
#include "tests/evolve/loop_fixture.hpp"

using namespace namm;
using namespace namm::evolve;
using namespace fixture;

TEST_CASE("noise: computed by hand, and what it stands for", "[noise]") {
  // rows are prompts; after taking out the means of rows and columns, +-0.5 is left: s^2 = 4 * 0.25 / 1
  const TaskValues one{1, {{1, 2}, {5, 4}}};
  CHECK(reevaluation_noise(std::span(&one, 1)) == Approx(std::sqrt(1.0 / 2)));
  const TaskValues doubled{2, one.prompts};
  CHECK(reevaluation_noise(std::span(&doubled, 1)) == Approx(2 * std::sqrt(1.0 / 2)));
  const TaskValues both[] = {one, doubled};  // 1/4 (1/2 + 4/2)
  CHECK(reevaluation_noise(both) == Approx(std::sqrt(2.5 / 4)));
  const TaskValues parallel{1, {{1, 2}, {5, 6}}};
  CHECK(reevaluation_noise(std::span(&parallel, 1)) == Approx(0).margin(1e-12));
  const TaskValues lonely[] = {{1, {{1, 2}}}, {1, {{5, 4}}}};  // one prompt each: the two together are as `one`
  CHECK(reevaluation_noise(lonely) == Approx(std::sqrt(1.0 / 2)));
  CHECK(std::isnan(reevaluation_noise(std::span(lonely, 1))));
  CHECK(std::isnan(reevaluation_noise({})));
  CHECK(signal_to_noise(2, 2, 1) == Approx(std::sqrt(7.0)));
  CHECK(signal_to_noise(0.5, 100, 1) == 0);
  CHECK(std::isnan(signal_to_noise(NAN, 5, 1)));

  // The standard deviation between two measurements of the same candidates on new prompts is what it promises.
  boost::random::mt19937_64 engine(5);
  boost::random::normal_distribution<double> normal;
  constexpr std::size_t kCandidates = 6, kPrompts = 5, kRounds = 400;
  double promised = 0, seen = 0, signal = 0;
  for (std::size_t round = 0; round < kRounds; ++round) {
    TaskValues task{1, std::vector<std::vector<double>>(kPrompts, std::vector<double>(kCandidates))};
    std::vector<double> error(kCandidates);
    for (auto& row : task.prompts) {
      const double hard = 3 * normal(engine);
      for (std::size_t k = 0; k < kCandidates; ++k) {
        const double rest = 0.7 * normal(engine);
        row[k] = hard + static_cast<double>(k) + rest;
        error[k] += rest / kPrompts;
      }
    }
    const double noise = reevaluation_noise(std::span(&task, 1));
    promised += noise * noise / kRounds;
    double mean = 0, square = 0, values = 0, squares = 0;
    for (std::size_t k = 0; k < kCandidates; ++k) {
      mean += error[k] / kCandidates;
      values += (static_cast<double>(k) + error[k]) / kCandidates;
    }
    for (std::size_t k = 0; k < kCandidates; ++k) {
      square += (error[k] - mean) * (error[k] - mean) / (kCandidates - 1);
      squares += std::pow(static_cast<double>(k) + error[k] - values, 2) / kCandidates;
    }
    seen += square / kRounds;
    signal += signal_to_noise(std::sqrt(squares), kCandidates, noise) / kRounds;
  }
  CHECK(promised == Approx(0.49 / kPrompts).epsilon(0.05));
  CHECK(seen == Approx(promised).epsilon(0.1));
  CHECK(signal == Approx(std::sqrt(3.5) / (0.7 / std::sqrt(5.0))).epsilon(0.15));  // 0..5 has variance 3.5
}

TEST_CASE("the log says how much of a generation's spread is noise", "[loop][noise]") {
  const TemporaryFolder folder;
  HostPool pool(hosts(), 2);
  for (const char* fitness : {"answer-likelihood", "task-score"}) {
    RunSettings settings = small_run(folder / fitness);
    settings.fitness = fitness;
    settings.generations = 2;
    std::vector<GenerationRecord> records;
    RunCallbacks callbacks;
    callbacks.generation = [&](const GenerationRecord& record) { records.push_back(record); };
    run(settings, pool, callbacks);
    CHECK(records.at(1).noise > 0);
    CHECK(records[1].signal_to_noise == signal_to_noise(records[1].spread, 4, records[1].noise));
    CHECK(read(folder / (std::string(fitness) + "/log.jsonl")).find("\"signal_to_noise\":") != std::string::npos);
  }
}

TEST_CASE("under several budgets the best policy for each is kept", "[loop]") {
  const TemporaryFolder folder;
  HostPool pool(hosts(), 2);
  RunSettings settings = small_run(folder / "run");
  settings.generations = 8;
  const RunResult result = run(settings, pool);
  std::istringstream lines(read(folder / "run/log.jsonl"));
  double last[] = {-INFINITY, -INFINITY};
  std::size_t fronts = 0;
  for (std::string text; std::getline(lines, text);) {
    const nlohmann::json line = nlohmann::json::parse(text);
    REQUIRE(line.contains("front") == line.contains("validation"));
    if (!line.contains("front")) continue;
    ++fronts;
    for (std::size_t b = 0; b < 2; ++b) {
      const nlohmann::json& one = line["front"].at(b);
      CHECK(one["kept_share"] == settings.budgets[b].value);
      CHECK(one["validation"] >= last[b]);
      last[b] = one["validation"];
    }
  }
  CHECK(fronts == 5);
  for (std::size_t b = 0; b < 2; ++b) {
    const PolicyFile file = load_policy_file(folder / (b == 0 ? "run/policy-25.json" : "run/policy-50.json"));
    CHECK(file.selection.budget == settings.budgets[b]);
    CHECK(file.provenance["validation"] == last[b]);
  }
  CHECK((last[0] + last[1]) / 2 >= result.validation - 1e-12);  // each is at least as good as the compromise

  settings.budgets.pop_back();
  settings.output = folder / "one";
  run(settings, pool);
  CHECK(std::filesystem::exists(folder / "one/policy.json"));
  CHECK_FALSE(std::filesystem::exists(folder / "one/policy-25.json"));
}

TEST_CASE("a run ends at its target, in stagnation, or when time is up", "[loop]") {
  const TemporaryFolder folder;
  HostPool pool(hosts(), 2);
  RunSettings settings = small_run(folder / "long");
  settings.generations = 16;
  settings.validate_every = 1;
  const RunResult full = run(settings, pool);
  CHECK(full.end == RunEnd::generations);
  REQUIRE(full.validation > full.start_validation);

  settings.output = folder / "target";
  settings.stop.at = full.validation;
  const RunResult target = run(settings, pool);
  CHECK(target.end == RunEnd::target);
  CHECK_FALSE(target.stopped);
  CHECK(target.generation == full.best_generation);
  settings.resume = true;
  CHECK(run(settings, pool).generation == target.generation);  // it has ended
  settings.stop = {};
  run(settings, pool);  // without the rule it goes on as if nothing had been
  CHECK(read(folder / "target/checkpoint.json") == read(folder / "long/checkpoint.json"));

  settings = small_run(folder / "stagnant");
  settings.generations = 100;
  settings.validate_every = 1;
  settings.stop.stagnant = 4;
  const RunResult stagnant = run(settings, pool);
  CHECK(stagnant.end == RunEnd::stagnation);
  CHECK(stagnant.generation == stagnant.best_generation + 4);

  settings = small_run(folder / "time");
  settings.stop.minutes = 1e-9;
  const RunResult time = run(settings, pool);
  CHECK(time.end == RunEnd::minutes);
  CHECK(time.generation == 0);
}

TEST_CASE("restarts: other draws, more candidates, the best stays; killed and resumed it is the same run", "[loop][resume]") {
  const TemporaryFolder folder;
  HostPool pool(hosts(), 2);
  RunSettings settings = small_run(folder / "whole");
  settings.generations = 60;
  settings.validate_every = 1;
  settings.stop = {0, std::nullopt, 3, 2, 1.5};
  std::vector<GenerationRecord> records;
  RunCallbacks callbacks;
  callbacks.generation = [&](const GenerationRecord& record) { records.push_back(record); };
  const RunResult whole = run(settings, pool, callbacks);
  CHECK(whole.end == RunEnd::stagnation);
  CHECK(std::count_if(records.begin(), records.end(), [](const auto& r) { return r.restarts; }) == 2);
  CHECK(records.back().restart == 2);
  CHECK(records.back().costs.seconds.size() == records[1].costs.seconds.size() + 4 * 4);  // 8 candidates, not 4
  double best = -INFINITY;
  for (const GenerationRecord& record : records) {
    CHECK(record.best_validation >= best);
    best = record.best_validation;
  }
  const nlohmann::json state = nlohmann::json::parse(read(folder / "whole/checkpoint.json"));
  CHECK(state["strategy"]["population"] == 8);

  struct Killed {};
  settings.output = folder / "killed";
  RunCallbacks kill;
  kill.generation = [](const GenerationRecord&) { throw Killed{}; };
  CHECK_THROWS_AS(run(settings, pool, kill), Killed);
  settings.resume = true;
  for (std::int64_t g = 0; g < whole.generation; ++g) CHECK_THROWS_AS(run(settings, pool, kill), Killed);
  run(settings, pool);
  for (const char* file : {"policy.json", "log.jsonl", "checkpoint.json"})
    CHECK(read(folder / ("whole/" + std::string(file))) == read(folder / ("killed/" + std::string(file))));

  settings.stop.stagnant = 0;
  CHECK_THROWS_AS(run(settings, pool), std::invalid_argument);
  settings.stop = {0, std::nullopt, 4, 2, 1.5};
  CHECK_THROWS_AS(run(settings, pool), std::runtime_error);  // another run's restarts
}
