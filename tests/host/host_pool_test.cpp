#include "host/host_pool.hpp"

#include <chrono>
#include <set>
#include <thread>

#include "evolve/prompt_plan.hpp"
#include "evolve/unit_pool.hpp"
#include "namm/policy.hpp"
#include "tests/check.hpp"
#include "tests/support/fake_host.hpp"

using namespace namm;
using namespace namm::evolve;
using Catch::Matchers::Equals;

namespace {
HostFactory factory() {
  return [] { return std::make_unique<fake::Host>(); };
}
}  // namespace

TEST_CASE("pool: every unit runs once, whatever the number of workers", "[pool]") {
  for (int workers : {1, 2, 3, 8}) {
    for (std::size_t count : {0u, 1u, 2u, 50u}) {
      CAPTURE(workers, count);
      HostPool pool(factory(), workers);
      std::vector<std::atomic<int>> runs(count);
      std::size_t last = 0;
      CHECK(pool.run(
          count, [&](std::size_t unit, Host&) { ++runs[unit]; }, nullptr,
          [&](std::size_t done, std::size_t total) {
            CHECK(done == last + 1);
            CHECK(total == count);
            last = done;
          }));
      CHECK(std::all_of(runs.begin(), runs.end(), [](const auto& n) { return n == 1; }));
      CHECK(last == count);
    }
  }
}

TEST_CASE("pool: a host is never used by two threads at once", "[pool]") {
  HostPool pool(factory(), 3);
  std::mutex mutex;
  std::set<Host*> busy, all;
  pool.run(30, [&](std::size_t, Host& host) {
    {
      const std::lock_guard lock(mutex);
      REQUIRE(busy.insert(&host).second);
      all.insert(&host);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    const std::lock_guard lock(mutex);
    busy.erase(&host);
  });
  CHECK(all.size() <= 3);
}

TEST_CASE("pool: the stop flag is looked at between units", "[pool]") {
  for (int workers : {1, 3}) {
    HostPool pool(factory(), workers);
    std::atomic<bool> stop = false;
    std::atomic<int> runs = 0;
    CHECK_FALSE(pool.run(
        1000, [&](std::size_t, Host&) { stop = ++runs >= 10; }, &stop));
    CHECK(runs >= 10);
    CHECK(runs < 10 + workers);
    CHECK_FALSE(pool.run(
        5, [&](std::size_t, Host&) { ++runs; }, &stop));
    CHECK(runs < 10 + workers);
    stop = false;
    CHECK(pool.run(
        5, [&](std::size_t, Host&) {}, &stop));
  }
}

TEST_CASE("pool: what a worker throws reaches the caller, and the pool can be used again", "[pool]") {
  for (int workers : {1, 2, 3}) {
    HostPool pool(factory(), workers);
    std::atomic<int> runs = 0;
    const auto work = [&](std::size_t unit, Host&) {
      ++runs;
      if (unit >= 5) throw std::runtime_error("context is full in unit " + std::to_string(unit));
    };
    CHECK_THROWS_WITH(pool.run(1000, work), Equals("context is full in unit 5"));
    CHECK(runs < 20);
    CHECK(pool.run(5, work));
  }
  CHECK_THROWS_AS(HostPool(factory(), 0), std::invalid_argument);
  CHECK_THROWS_AS(HostPool(HostFactory{}, 1), std::invalid_argument);
  CHECK_THROWS_AS(HostPool([] { return std::unique_ptr<Host>(); }, 1), std::invalid_argument);
  CHECK_THROWS_WITH(HostPool([]() -> std::unique_ptr<Host> { throw std::runtime_error("no model"); }, 1), Equals("no model"));
}

namespace {

/// Says how many were measured with it, and which memory and prompt it was.
class Counting final : public Fitness {
 public:
  std::string_view name() const override { return "counting"; }
  Relation relation() const override { return Relation::difference; }
  double measure(Host&, const CachePolicy&, const Prompt&, const ProtocolSettings&) const override {
    throw std::logic_error("alone");
  }
  std::size_t together() const override { return 3; }
  std::vector<double> measure_together(Host&, std::span<const CachePolicy> memories, const Prompt& prompt,
                                       const ProtocolSettings&) const override {
    std::vector<double> out;
    for (const CachePolicy& memory : memories)
      out.push_back(static_cast<double>(1000 * memories.size() + 100 * prompt.context.size()) + memory.interval_tokens);
    return out;
  }
};

}  // namespace

TEST_CASE("units: neighbours on one prompt are measured together, in equal parts, whoever measures", "[pool]") {
  std::vector<CachePolicy> memories(9);
  for (std::size_t m = 0; m < memories.size(); ++m) memories[m].interval_tokens = static_cast<int>(m);
  std::vector<Prompt> prompts(2);
  prompts[0].context = {1};
  prompts[1].context = {1, 2};
  std::vector<Unit> units = {{8, 0}, {8, 1}};  // as the full cache: alone
  for (std::size_t p = 0; p < 2; ++p)
    for (std::size_t m = 0; m < (p == 0 ? 7 : 2); ++m) units.push_back({m, p});
  units.push_back({0, 1});  // not ascending: another group
  const std::vector<double> expected = {1108, 1208, 2100, 2101, 2102, 2103, 3104, 3105, 3106, 2200, 2201, 1200};
  const Counting counting;
  const ProtocolSettings protocol;
  for (const int workers : {1, 2, 3}) {
    HostPool pool(factory(), workers);
    ThreadUnits threads(pool);
    CHECK(threads.measure(make_batch(counting, protocol, memories, prompts, {}), {}));
    std::vector<double> values(units.size());
    CHECK(threads.measure(make_batch(counting, protocol, memories, prompts, units), values));
    CHECK(values == expected);
    CHECK(threads.take_costs().seconds.size() == 7);
    CHECK(threads.take_costs().seconds.empty());
  }
}

TEST_CASE("units: the values do not depend on the number of workers", "[pool]") {
  const std::vector<std::shared_ptr<const tasks::Task>> tasks = {std::make_shared<fake::Task>()};
  PromptPlan plan;
  plan.lengths_tokens = {24, 40};
  const std::vector<PromptChoice> choices = plan.minibatch(3);
  const auto fitness = make_fitness("answer-likelihood");
  std::vector<std::vector<double>> results;
  for (int workers : {1, 2, 3}) {
    HostPool pool(factory(), workers);
    const std::vector<Prompt> prompts = *make_prompts(pool, tasks, choices, 5, {});
    std::vector<CachePolicy> memories(3);
    memories[1].policy = make_policy("h2o");
    memories[2].policy = make_policy("random");
    for (CachePolicy& memory : memories) memory.selection = {SelectionMode::uniform, parse_budget("25%"), 1, 2};
    std::vector<Unit> units;
    for (std::size_t m = 0; m < memories.size(); ++m) {
      for (std::size_t p = 0; p < prompts.size(); ++p) units.push_back({m, p});
    }
    ThreadUnits threads(pool);
    const ProtocolSettings protocol;
    results.emplace_back(units.size());
    CHECK(threads.measure(make_batch(*fitness, protocol, memories, prompts, units), results.back()));
  }
  CHECK(results[0] == results[1]);
  CHECK(results[0] == results[2]);
  CHECK(std::set<double>(results[0].begin(), results[0].end()).size() > 1);
}
