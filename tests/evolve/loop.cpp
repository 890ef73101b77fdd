#include "evolve/loop.hpp"

#include "core/policies/network_policy.hpp"
#include "core/policy_file.hpp"
#include "evolve/prompt_plan.hpp"
#include "evolve/relative_measure.hpp"
#include "evolve/run_work.hpp"
#include "tests/check.hpp"
#include "tests/evolve/golden.hpp"
#include "tests/evolve/loop_fixture.hpp"

using namespace namm;
using namespace namm::evolve;
using namespace fixture;

namespace {

/// On prompts that no run sees.
double test_fitness(const RunSettings& s, const std::shared_ptr<const Policy>& policy) {
  HostPool pool(hosts(), 2);
  PromptPlan plan;
  plan.tasks = s.tasks.size();
  plan.lengths_tokens = s.lengths_tokens;
  plan.prompts_per_task = 20;
  std::vector<PromptChoice> choices = plan.minibatch(0);
  for (PromptChoice& choice : choices) choice.split = tasks::Split::test;
  const auto prompts = make_prompts(pool, s.tasks, choices, 77, s.protocol);
  const auto fitness = make_fitness(s.fitness);
  ThreadUnits threads(pool);
  CachePolicy base;
  base.selection = s.selection;
  base.interval_tokens = s.interval_tokens;
  RelativeMeasure measure(threads, *fitness, s.protocol, base, {s.budgets.front()}, false);
  const std::shared_ptr<const Policy> policies[] = {policy};
  return measure.measure(policies, choices, *prompts)->front();
}

}  // namespace

TEST_CASE("evolution finds what matters: it beats random, recency and its start on prompts it never saw", "[loop]") {
  for (const char* fitness : {"answer-likelihood", "task-score"}) {
    for (const char* strategy : {"cma", "sep-cma"}) {
      CAPTURE(fitness, strategy);
      const TemporaryFolder folder;
      RunSettings settings = small_run(folder / "run");
      settings.fitness = fitness;
      settings.strategy = strategy;
      settings.budgets = {parse_budget("25%")};
      settings.population = 10;
      settings.prompts_per_task = 4;
      settings.generations = 12;
      HostPool pool(hosts(), 2);
      const RunResult result = run(settings, pool);
      CHECK(result.generation == 12);
      CHECK_FALSE(result.stopped);
      CHECK(result.validation > result.start_validation);
      const double evolved = test_fitness(settings, result.policy);
      const double random = test_fitness(settings, make_policy("random"));
      const double recency = test_fitness(settings, make_policy("streaming"));
      const double full = test_fitness(settings, make_policy("full"));
      golden::report(fitness, " with ", strategy, ": evolved ", evolved, ", random ", random, ", recency ", recency, ", full ",
                     full);
      const double best = std::string(fitness) == "task-score" ? 1 : 0;
      CHECK(full == best);
      CHECK(evolved > random + 0.25);
      CHECK(evolved > recency + 0.25);
      CHECK(evolved <= best);

      const PolicyFile file = load_policy_file(folder / "run/policy.json");
      CHECK(file.policy->parameters() == result.policy->parameters());
      CHECK(file.interval_tokens == 16);
      CHECK(to_string(file.selection.budget) == to_string(settings.budgets.front()));
      CHECK(file.provenance.at("model") == "fake");
      CHECK(file.provenance.at("validation") == result.validation);
      CHECK(test_fitness(settings, file.policy) == evolved);
    }
  }
}

TEST_CASE("the files of a run do not depend on the number of workers", "[loop]") {
  const TemporaryFolder folder;
  for (const char* name : {"1", "2", "3"}) {
    const RunSettings settings = small_run(folder / name);
    HostPool pool(hosts(), std::stoi(name));
    run(settings, pool);
  }
  for (const char* file : {"policy.json", "log.jsonl", "checkpoint.json"}) {
    CAPTURE(file);
    CHECK(read(folder / "1" / file).size() > 100);
    CHECK(read(folder / "1" / file) == read(folder / "2" / file));
    CHECK(read(folder / "1" / file) == read(folder / "3" / file));
  }
}

TEST_CASE("another seed is another run", "[loop]") {
  const TemporaryFolder folder;
  HostPool pool(hosts(), 1);
  RunSettings settings = small_run(folder / "1");
  run(settings, pool);
  settings.output = folder / "2";
  settings.seed = 2;
  run(settings, pool);
  CHECK(read(folder / "1" / "log.jsonl") != read(folder / "2" / "log.jsonl"));
}

TEST_CASE("validation decides what is kept: never below the start", "[loop]") {
  const TemporaryFolder folder;
  HostPool pool(hosts(), 2);
  RunSettings settings = small_run(folder / "first");
  settings.generations = 10;
  const RunResult first = run(settings, pool);

  // A warm start from its result: same weights, same normalisation; a wild step size ruins the candidates but not the result.
  settings.prototype = load_policy_file(folder / "first/policy.json").policy;
  settings.gather_normalisation = false;
  settings.output = folder / "second";
  settings.step_size = 300;
  settings.generations = 4;
  std::vector<GenerationRecord> records;
  const RunResult second = run(settings, pool, {{}, [&](const GenerationRecord& record) { records.push_back(record); }});
  CHECK(second.start_validation == first.validation);
  CHECK(second.validation >= first.validation);
  REQUIRE(records.size() == 5);
  CHECK(records[0].generation == 0);
  for (std::size_t g = 1; g < records.size(); ++g) {
    CHECK(records[g].generation == static_cast<std::int64_t>(g));
    CHECK(records[g].best >= records[g].mean);
    CHECK(records[g].best_validation >= records[g - 1].best_validation);
    CHECK(records[g].validation_mean.has_value() == (g % 2 == 0));
  }
  const auto& kept = dynamic_cast<const NetworkPolicy&>(*second.policy);
  CHECK(kept.normalisation() == dynamic_cast<const NetworkPolicy&>(*first.policy).normalisation());
}

TEST_CASE("normalisation is gathered once, before the first generation, and frozen", "[loop]") {
  const TemporaryFolder folder;
  HostPool pool(hosts(), 2);
  RunSettings settings = small_run(folder / "run");
  std::vector<std::string> stages;
  RunCallbacks callbacks;
  double before = 0;
  callbacks.progress = [&](std::string_view stage, std::size_t done, std::size_t total, double share) {
    CHECK(done <= total);
    CHECK(share >= before);
    before = share;
    if (stages.empty() || stages.back() != stage) stages.emplace_back(stage);
  };
  const RunResult result = run(settings, pool, callbacks);
  CHECK_FALSE(dynamic_cast<const NetworkPolicy&>(*result.policy).normalisation().identity());
  CHECK(stages[0] == "normalisation");
  CHECK(std::count(stages.begin(), stages.end(), "normalisation") == 1);
  CHECK(stages[1] == "validation");
  CHECK(stages[2] == "training");
  CHECK(before == Approx(1));  // of the whole run, not of its last stage
}

TEST_CASE("the share of a run that is done goes by its units, and begins anew where a run is resumed", "[loop]") {
  RunSettings settings;
  settings.tasks.resize(2);
  settings.prompts_per_task = 3;  // 6 prompts, 10 candidates and the full cache: 66 units a generation
  settings.validation_prompts = 4;
  settings.budgets.resize(1);
  settings.validate_every = 5;
  settings.generations = 12;
  // normalisation 6, start 8 + 8, training 12 * 66, validations in 5 and 10 of 16 each, the end 8
  const double all = 6 + 16 + 12 * 66 + 2 * 16 + 8;
  const RunWork work(settings, 10, -1);
  CHECK(work.share("normalisation", -1, 0.5) == Approx(3 / all));
  CHECK(work.share("validation", -1, 1) == Approx(22 / all));
  CHECK(work.share("training", 0, 0.5) == Approx((22 + 33) / all));
  CHECK(work.share("validation", 4, 1) == Approx((22 + 5 * 66 + 16) / all));
  CHECK(work.share("training", 5, 0) == Approx((22 + 5 * 66 + 16) / all));
  CHECK(work.share("validation", 12, 1) == Approx(1));
  const RunWork resumed(settings, 10, 10);
  CHECK(resumed.share("training", 10, 0) == 0);
  CHECK(resumed.share("training", 11, 0) == Approx(66.0 / (132 + 8)));
}

TEST_CASE("the last generation is validated even if it is not its turn", "[loop]") {
  const TemporaryFolder folder;
  HostPool pool(hosts(), 2);
  RunSettings settings = small_run(folder / "run");
  settings.generations = 3;
  run(settings, pool);
  const std::string log = read(folder / "run/log.jsonl");
  CHECK(std::count(log.begin(), log.end(), '\n') == 5);  // the start, three generations, the end
  const auto last = nlohmann::json::parse(log.substr(log.rfind('\n', log.size() - 2) + 1));
  CHECK(last.at("final") == true);
  CHECK(last.at("validation").at("mean").is_number());
}
