#include "evolve/prompt_plan.hpp"

#include <algorithm>
#include <set>

#include "tests/check.hpp"
#include "tests/support/fake_host.hpp"

using namespace namm;
using namespace namm::evolve;

namespace {

std::vector<std::uint64_t> indices(const std::vector<PromptChoice>& choices, std::size_t task) {
  std::vector<std::uint64_t> out;
  for (const PromptChoice& choice : choices) {
    if (choice.task == task) out.push_back(choice.index);
  }
  return out;
}

}  // namespace

TEST_CASE("minibatches: new prompts in every generation, lengths and budgets take turns", "[plan]") {
  PromptPlan plan;
  plan.tasks = 2;
  plan.lengths_tokens = {100, 200};
  plan.budgets = 3;
  plan.prompts_per_task = 6;
  std::set<std::uint64_t> seen;
  for (std::int64_t generation = 0; generation < 5; ++generation) {
    const auto choices = plan.minibatch(generation);
    CHECK(choices.size() == 12);
    CHECK(indices(choices, 0) == indices(choices, 1));
    for (const std::uint64_t index : indices(choices, 0)) CHECK(seen.insert(index).second);
    std::set<std::pair<std::size_t, std::size_t>> pairs;
    for (const PromptChoice& choice : choices) {
      CHECK(choice.split == tasks::Split::train);
      REQUIRE(choice.budgets.size() == 1);
      pairs.insert({choice.length_tokens, choice.budgets.front()});
    }
    CHECK(pairs.size() == 6);
  }
}

TEST_CASE("minibatches from a pool: different prompts, decided by seed and generation only", "[plan]") {
  PromptPlan plan;
  plan.training_pool = 20;
  plan.prompts_per_task = 8;
  plan.tasks = 2;
  std::set<std::uint64_t> seen;
  for (std::int64_t generation = 0; generation < 30; ++generation) {
    const auto first = indices(plan.minibatch(generation), 0);
    CHECK(first == indices(plan.minibatch(generation), 0));
    CHECK(std::set<std::uint64_t>(first.begin(), first.end()).size() == 8);
    CHECK(*std::max_element(first.begin(), first.end()) < 20);
    CHECK(first != indices(plan.minibatch(generation + 1), 0));
    CHECK(first != indices(plan.minibatch(generation), 1));
    seen.insert(first.begin(), first.end());
  }
  CHECK(seen.size() == 20);
  const auto before = indices(plan.minibatch(0), 0);
  plan.seed = 2;
  CHECK(before != indices(plan.minibatch(0), 0));
  plan.prompts_per_task = 20;
  const auto all = indices(plan.minibatch(4), 0);
  CHECK(std::set<std::uint64_t>(all.begin(), all.end()).size() == 20);
}

TEST_CASE("minibatches: with few prompts per task every generation still meets every budget", "[plan]") {
  PromptPlan plan;
  plan.tasks = 5;
  plan.lengths_tokens = {512, 900};
  plan.budgets = 2;
  plan.prompts_per_task = 2;
  plan.training_pool = GENERATE(0, 8);
  std::set<std::pair<std::size_t, std::size_t>> met;  // task, budget
  for (std::int64_t generation = 0; generation < 2; ++generation) {
    std::size_t tight = 0;
    for (const PromptChoice& choice : plan.minibatch(generation)) {
      tight += choice.budgets.front();
      met.insert({choice.task, choice.budgets.front()});
    }
    CHECK(tight >= 4);
    CHECK(tight <= 6);
  }
  CHECK(met.size() == 10);
}

TEST_CASE("validation: every prompt under every budget, from its own split", "[plan]") {
  PromptPlan plan;
  plan.budgets = 3;
  plan.validation_prompts = 4;
  const auto choices = plan.validation();
  CHECK(indices(choices, 0) == std::vector<std::uint64_t>{0, 1, 2, 3});
  for (const PromptChoice& choice : choices) {
    CHECK(choice.split == tasks::Split::validation);
    CHECK(choice.budgets == std::vector<std::size_t>{0, 1, 2});
  }
}

TEST_CASE("prompts are made in the order of the choices, whatever the number of workers", "[plan]") {
  const std::vector<std::shared_ptr<const tasks::Task>> tasks = {std::make_shared<fake::Task>("a"),
                                                                 std::make_shared<fake::Task>("b")};
  PromptPlan plan;
  plan.tasks = 2;
  plan.lengths_tokens = {20, 33};
  const auto choices = plan.minibatch(1);
  std::vector<std::vector<std::string>> ids;
  for (int workers : {1, 3}) {
    HostPool pool([] { return std::make_unique<fake::Host>(); }, workers);
    const auto prompts = make_prompts(pool, tasks, choices, 9, {});
    REQUIRE(prompts);
    ids.emplace_back();
    for (std::size_t i = 0; i < prompts->size(); ++i) {
      CHECK((*prompts)[i].context.size() == choices[i].length_tokens + 1);  // and the start token
      ids.back().push_back((*prompts)[i].sample.id + (*prompts)[i].sample.context);
    }
  }
  CHECK(ids[0] == ids[1]);
}
