#include "evolve/fitness.hpp"

#include <chrono>
#include <cmath>
#include <thread>

#include "evolve/fitness/prompt_memory.hpp"
#include "evolve/relative_measure.hpp"
#include "namm/policy.hpp"
#include "tests/check.hpp"
#include "tests/support/fake_host.hpp"

using namespace namm;
using namespace namm::evolve;

namespace {

/// Keeps the newest `tokens` only.
CachePolicy recency(double tokens) {
  CachePolicy memory;
  memory.policy = make_policy("streaming");
  memory.selection.budget = {Budget::Unit::tokens, tokens};
  memory.selection.sinks = 0;
  memory.selection.recent = 1;
  return memory;
}

Prompt prompt_with_old_needle(const Host& host) {
  tasks::Sample sample;
  sample.id = "t/0";
  sample.context = "a b c d e f #7 g h i j k l m n";
  sample.question = " which";
  sample.answers = {"#7"};
  return encode_prompt(host, sample, std::make_shared<fake::Task>(), {});
}

}  // namespace

TEST_CASE("fitness: what is measured with a full and with a pruned cache", "[fitness]") {
  fake::Host host;
  const Prompt prompt = prompt_with_old_needle(host);
  const auto likelihood = make_fitness("answer-likelihood"), score = make_fitness("task-score");
  CHECK(likelihood->measure(host, CachePolicy{}, prompt, {}) == Approx(-0.05));
  CHECK(likelihood->measure(host, recency(4), prompt, {}) == Approx(-4.05));
  CHECK(score->measure(host, CachePolicy{}, prompt, {}) == 1);
  CHECK(score->measure(host, recency(4), prompt, {}) == 0);
  CHECK(score->measure(host, recency(100), prompt, {}) == 1);
}

TEST_CASE("fitness: a prompt without a gold answer has no likelihood", "[fitness]") {
  fake::Host host;
  Prompt prompt = prompt_with_old_needle(host);
  prompt.answer.clear();
  CHECK_THROWS_WITH(make_fitness("answer-likelihood")->measure(host, CachePolicy{}, prompt, {}), Contains("t/0"));
}

TEST_CASE("fitness: fidelity is the divergence from the full cache's predictions", "[fitness]") {
  std::atomic<int> resets = 0;
  fake::Script script;
  script.resets = &resets;
  fake::Host host(script);
  const auto fidelity = make_fitness("fidelity");
  Prompt prompt = prompt_with_old_needle(host);
  const auto kl = [](double full, double pruned) {  // of two words whose logits are these and 1
    const double p = 1 / (1 + std::exp(1 - full)), q = 1 / (1 + std::exp(1 - pruned));
    return p * std::log(p / q) + (1 - p) * std::log((1 - p) / (1 - q));
  };
  CHECK(fidelity->measure(host, CachePolicy{}, prompt, {}) == 0);
  CHECK(fidelity->measure(host, recency(100), prompt, {}) == Approx(0).margin(1e-6));
  resets = 0;
  CHECK(fidelity->measure(host, recency(4), prompt, {}) == Approx(-kl(4, 0)));
  CHECK(resets == 1);  // the full cache's predictions are remembered
  // without an answer the text's own end is predicted
  prompt.answer.clear();
  CHECK(fidelity->measure(host, recency(4), prompt, {}) == Approx(-kl(4, 0)));
  prompt.sample.id = "t/1";
  prompt.context.resize(3);
  CHECK_THROWS_WITH(fidelity->measure(host, recency(4), prompt, {}), Contains("t/1") && Contains("at least 4 tokens"));
}

TEST_CASE("fitness: fidelity reads a prompt's full cache once, whoever asks, and tells prompts of one id apart", "[fitness]") {
  std::atomic<int> resets = 0;
  fake::Script slow;
  slow.resets = &resets;
  slow.on_reset = [] { std::this_thread::sleep_for(std::chrono::milliseconds(20)); };
  HostPool pool([&] { return std::make_unique<fake::Host>(slow); }, 2);
  const Prompt first = prompt_with_old_needle(pool.host());
  Prompt second = first;
  std::swap(second.context[1], second.context[2]);
  const auto fidelity = make_fitness("fidelity");
  pool.run(2, [&](std::size_t, Host& host) { fidelity->measure(host, recency(4), first, {}); });
  CHECK(resets == 1 + 2);
  fidelity->measure(pool.host(), recency(4), second, {});
  CHECK(resets == 3 + 2);
  fidelity->measure(pool.host(), recency(4), first, {});
  CHECK(resets == 5 + 1);

  const auto forgetful = make_fitness("fidelity");
  forgetful->remember_at_most(1);
  resets = 0;
  const Prompt* const order[] = {&first, &first, &second, &first};
  for (const Prompt* const prompt : order) forgetful->measure(pool.host(), recency(4), *prompt, {});
  CHECK(resets == 4 + 3);  // the newest one stays
}

TEST_CASE("fitness: what is remembered of prompts is bounded in bytes, the oldest goes first", "[fitness]") {
  struct Value {
    int key = 0;
    std::size_t bytes = 0;
  };
  PromptMemory<int, Value> memory;
  memory.limit(10);
  std::vector<int> made;
  const auto get = [&](int key) {
    return memory.get(key, [&] {
      made.push_back(key);
      return std::make_shared<Value>(Value{key, 4});
    });
  };
  for (const int key : {1, 2, 1, 2, 3, 2, 1}) CHECK(get(key)->key == key);
  CHECK(made == std::vector<int>{1, 2, 3, 1});
  memory.forget_first([](int key) { return key == 3; });
  memory.forget_first([](int key) { return key == 9; });
  for (const int key : {1, 3}) get(key);
  CHECK(made == std::vector<int>{1, 2, 3, 1, 3});
  const auto fails = []() -> std::shared_ptr<const Value> { throw std::runtime_error("the context is full"); };
  CHECK_THROWS_WITH(memory.get(4, fails), Contains("the context is full"));
  CHECK(get(4)->key == 4);  // the next one makes it
}

TEST_CASE("fitness: the registry", "[fitness]") {
  for (const FitnessEntry& entry : fitness_registry()) CHECK(make_fitness(entry.name)->name() == entry.name);
  CHECK_THROWS_WITH(make_fitness("task-scor"), Contains("task-scor'") && Contains("nearest: task-score"));
}

TEST_CASE("fitness: normalised to the full cache per task, then averaged", "[fitness]") {
  using enum Fitness::Relation;
  const std::vector<TaskMeans> tasks = {{0.5, 1.0}, {0.2, 0.4}, {0.9, 0.6}};
  CHECK(relative_fitness(ratio, tasks) == Approx((0.5 + 0.5 + 1.5) / 3));
  CHECK(relative_fitness(difference, tasks) == Approx((-0.5 - 0.2 + 0.3) / 3));
  CHECK(relative_fitness(ratio, std::vector<TaskMeans>{{0.0, 0.0}}) == 1);
  CHECK(relative_fitness(ratio, std::vector<TaskMeans>{{0.25, 0.0}}) == 1.25);
  CHECK(std::isnan(relative_fitness(ratio, {})));
}

TEST_CASE("fitness: the full cache is measured once per prompt, on the same prompts", "[fitness]") {
  std::atomic<int> resets = 0;
  HostPool pool([&] { return std::make_unique<fake::Host>(fake::Script{{}, {}, &resets}); }, 2);
  const std::vector<std::shared_ptr<const tasks::Task>> tasks = {std::make_shared<fake::Task>("one"),
                                                                 std::make_shared<fake::Task>("two")};
  PromptPlan plan;
  plan.tasks = 2;
  plan.lengths_tokens = {30};
  plan.prompts_per_task = 5;
  plan.budgets = 2;
  const std::vector<PromptChoice> choices = plan.minibatch(0);
  const std::vector<Prompt> prompts = *make_prompts(pool, tasks, choices, 1, {});
  const auto fitness = make_fitness("answer-likelihood");
  ThreadUnits threads(pool);
  const CachePolicy base = recency(1);
  RelativeMeasure measure(threads, *fitness, {}, base, {parse_budget("12"), parse_budget("100%")}, true);

  const std::vector<std::shared_ptr<const Policy>> policies = {make_policy("full"), make_policy("streaming"), nullptr};
  const std::vector<double> values = *measure.measure(policies, choices, prompts);
  CHECK(resets == 10 + 2 * 10);  // the full cache, two policies; the third does not exist
  CHECK(values[0] == 0);
  CHECK(values[1] < -0.5);
  CHECK(std::isnan(values[2]));
  CHECK(*measure.measure(std::span(policies).first(1), choices, prompts) == std::vector<double>{0.0});
  CHECK(resets == 30 + 10);
  RelativeMeasure forgetful(threads, *fitness, {}, base, {parse_budget("12"), parse_budget("100%")}, false);
  forgetful.measure(std::span(policies).first(1), choices, prompts);
  forgetful.measure(std::span(policies).first(1), choices, prompts);
  CHECK(resets == 40 + 2 * 20);
}
