// Units measured by ranks: the same bytes as on threads, whatever their number, and a clear end if one fails.
#include "evolve/loop.hpp"

#include <algorithm>
#include <map>

#include "kernels/isa.hpp"
#include "tests/check.hpp"
#include "tests/evolve/loop_fixture.hpp"
#include "tests/evolve/mailbox.hpp"

using namespace namm;
using namespace namm::evolve;
using namespace fixture;
using Catch::Matchers::Contains;

namespace {

/// What a rank does: `workers` hosts of this script.
std::function<void(Mailbox&)> measuring(const RunSettings& settings, int workers = 1, fake::Script script = {},
                                        const std::atomic<bool>* stop = nullptr) {
  return [=, tasks = settings.tasks, protocol = settings.protocol, fitness_name = settings.fitness](Mailbox& mine) {
    HostPool pool(hosts(script), workers);
    const auto fitness = make_fitness(fitness_name);
    while (!serve_units(mine, pool, *fitness, protocol, tasks, {"{}", "there", 0.01}, stop)) {
    }
  };
}

void compare(const TemporaryFolder& folder, const std::string& a, const std::string& b) {
  for (const char* file : {"policy.json", "log.jsonl", "checkpoint.json"}) {
    CAPTURE(a, b, file);
    CHECK_FALSE(read(folder / (a + "/" + file)).empty());
    CHECK(read(folder / (a + "/" + file)) == read(folder / (b + "/" + file)));
  }
}

}  // namespace

TEST_CASE("messages are read back as they were written, and nothing else is", "[ranks]") {
  messages::PromptMessage prompt;
  prompt.id = 3;
  prompt.task = 1;
  prompt.prompt.context = {1, 2, -3};
  prompt.prompt.answer = {7};
  prompt.prompt.sample.id = "a/b";
  prompt.prompt.sample.answers = {"yes", ""};
  prompt.prompt.sample.evidence = {{4, 5}, {6, 7}};
  prompt.prompt.sample.needle_offset = 9;
  const std::vector<std::byte> bytes = messages::write(prompt);
  const auto back = std::get<messages::PromptMessage>(messages::read(bytes));
  CHECK(back.prompt.context == prompt.prompt.context);
  CHECK(back.prompt.answer == prompt.prompt.answer);
  CHECK(back.prompt.sample.answers == prompt.prompt.sample.answers);
  CHECK(back.prompt.sample.evidence.at(1).bytes == 7);
  CHECK(messages::write(back) == bytes);

  messages::Job job;
  job.number = 12;
  job.parts.resize(2);
  job.parts[0].memory.selection = {SelectionMode::pooled, parse_budget("25%"), 3, 5};
  job.parts[0].memory.interval_tokens = 77;
  job.parts[1].policy = 9;
  const auto read_job = std::get<messages::Job>(messages::read(messages::write(job)));
  REQUIRE(read_job.parts.size() == 2);
  CHECK(read_job.parts[0].memory.selection == job.parts[0].memory.selection);
  CHECK(read_job.parts[0].memory.interval_tokens == 77);
  CHECK(read_job.parts[0].policy == messages::Job::kNothing);
  CHECK(read_job.parts[1].policy == 9);
  CHECK(std::holds_alternative<messages::Bye>(messages::read(messages::write(messages::Bye{}))));

  for (std::size_t length = 0; length < bytes.size(); ++length)
    CHECK_THROWS_AS(messages::read(std::span(bytes).first(length)), std::runtime_error);
  std::vector<std::byte> damaged = bytes;
  for (std::byte& byte : damaged) byte = std::byte{0xff};
  CHECK_THROWS_WITH(messages::read(damaged), Contains("start the same namm on all ranks"));
}

TEST_CASE("a worker is given prompts that its rank or nobody holds, and on which nobody works; then the rest", "[ranks]") {
  std::vector<Prompt> prompts(3);
  for (std::size_t p = 0; p < prompts.size(); ++p) prompts[p].context = {static_cast<Token>(p)};  // all of the same id
  const std::vector<Unit> units = {{0, 0}, {1, 0}, {2, 0}, {0, 1}, {1, 1}, {2, 1}, {0, 2}, {1, 2}, {2, 2}};
  std::vector<UnitGroup> groups;
  for (std::size_t i = 0; i < units.size(); ++i) groups.push_back({i, 1});
  // takers: 10 * rank + worker, each done with one group before it takes the next
  const auto order = [&](std::string_view fitness_name, PromptHolders& holders, const std::vector<int>& takers) {
    const auto fitness = make_fitness(fitness_name);
    GroupQueue queue({*fitness, {}, {}, prompts, units, groups}, holders);
    std::vector<std::size_t> taken;
    std::map<int, std::size_t> under_way;
    for (const int taker : takers) {
      if (const auto before = under_way.find(taker); before != under_way.end()) queue.done(before->second);
      taken.push_back(queue.take(taker / 10).value());
      under_way[taker] = taken.back();
    }
    CHECK_FALSE(queue.take(0));
    CHECK_FALSE(queue.take(1));
    return taken;
  };
  using Order = std::vector<std::size_t>;
  PromptHolders holders, others, alone;
  CHECK(order("semi-live", holders, {0, 10, 0, 10, 0, 10, 10, 10, 0}) == Order{0, 3, 1, 4, 2, 5, 6, 7, 8});
  // now rank 0 holds prompt 0, rank 1 the others, though rank 0 has helped with the last one
  CHECK(order("semi-live", holders, {10, 10, 10, 10, 0, 0, 0, 0, 0}) == Order{3, 4, 5, 6, 0, 1, 2, 7, 8});
  // two workers of one process begin at different prompts
  CHECK(order("semi-live", alone, {0, 1, 0, 1, 1, 1, 1, 0, 0}) == Order{0, 3, 1, 4, 5, 6, 7, 2, 8});
  CHECK(order("answer-likelihood", others, {0, 10, 0, 10, 0, 10, 10, 10, 0}) == Order{0, 1, 2, 3, 4, 5, 6, 7, 8});
}

TEST_CASE("1, 2 and 4 ranks write the same bytes as threads", "[ranks]") {
  const TemporaryFolder folder;
  RunSettings settings = small_run(folder / "threads");
  settings.fitness = "fidelity";
  {
    HostPool pool(hosts(), 2);
    run(settings, pool);
  }
  for (const int ranks : {1, 2, 4}) {
    settings.output = folder / std::to_string(ranks);
    Ranks others(ranks, measuring(settings, ranks == 2 ? 2 : 1));
    HostPool pool(hosts(), 1);
    RankUnits units(pool, others.lead, settings.tasks, {"{}"});
    CHECK(units.workers() == (ranks == 2 ? 3 : ranks));
    std::uint64_t sent = 0;
    std::size_t measured = 0;
    RunCallbacks callbacks;
    callbacks.generation = [&](const GenerationRecord& record) {
      sent += record.costs.bytes_sent;
      measured += record.costs.seconds.size();
    };
    run(settings, pool, callbacks, nullptr, &units);
    compare(folder, "threads", std::to_string(ranks));
    CHECK(measured > 100);
    CHECK((sent > 0) == (ranks > 1));

    // a further run of the same processes, as in stages; and one that turns out to be done
    settings.output = folder / ("second-" + std::to_string(ranks));
    CHECK(RankUnits::dismiss(others.lead, std::chrono::seconds(20), false));
    CHECK(RankUnits::dismiss(others.lead, std::chrono::seconds(20), false));
    RankUnits again(pool, others.lead, settings.tasks, {"{}"});
    run(settings, pool, {}, nullptr, &again);
    compare(folder, "threads", "second-" + std::to_string(ranks));
  }
}

TEST_CASE("what is wrong on a rank ends the run with its name, and the run can be resumed", "[ranks]") {
  const TemporaryFolder folder;
  RunSettings settings = small_run(folder / "whole");
  HostPool pool(hosts(), 1);
  run(settings, pool);
  settings.output = folder / "broken";
  std::atomic<bool> told = false;
  std::atomic<int> resets = 0;
  fake::Script slow;  // so that the other rank gets its share
  slow.on_reset = [] { std::this_thread::sleep_for(std::chrono::milliseconds(1)); };
  HostPool own(hosts(slow), 1);

  SECTION("a host that fails") {
    fake::Script script;
    script.on_reset = [&] {
      if (++resets == 60) throw std::runtime_error("the context is full");
    };
    Ranks others(2, measuring(settings, 1, script));
    RankUnits units(own, others.lead, settings.tasks, {"{}"});
    CHECK_THROWS_WITH(run(settings, own, {}, nullptr, &units), Contains("rank 1 on there: the context is full"));
  }
  SECTION("a rank that is told to end") {
    fake::Script script;
    script.on_reset = [&] {
      if (++resets != 60) return;
      told = true;
      throw std::runtime_error("decoding failed with status 2");  // broken off in the middle of a text
    };
    Ranks others(2, measuring(settings, 1, script, &told));
    RankUnits units(own, others.lead, settings.tasks, {"{}"});
    CHECK(run(settings, own, {}, nullptr, &units).stopped);
  }
  SECTION("rank 0 that is told to end in the middle of a text") {
    fake::Script script = slow;
    script.on_reset = [&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      if (++resets < 40) return;
      told = true;
      throw std::runtime_error("decoding failed with status 2");
    };
    HostPool lead(hosts(script), 1);
    Ranks others(2, measuring(settings, 1, slow));
    RankUnits units(lead, others.lead, settings.tasks, {"{}"});
    CHECK(run(settings, lead, {}, &told, &units).stopped);
  }
  SECTION("a rank that falls silent") {
    Ranks others(2, [](Mailbox& mine) {
      mine.send(0, messages::write(messages::Hello{"{}", "there", 1}));
      for (;; std::this_thread::sleep_for(std::chrono::milliseconds(1))) {
        const auto message = mine.receive();
        if (message && std::holds_alternative<messages::Stop>(messages::read(message->bytes))) break;
      }
      mine.send(0, messages::write(messages::Bye{}));
    });
    RankSettings impatient{"{}"};
    impatient.silence_limit = std::chrono::milliseconds(50);
    RankUnits units(own, others.lead, settings.tasks, impatient);
    CHECK_THROWS_WITH(run(settings, own, {}, nullptr, &units), Contains("rank 1 on there: must answer within"));
    CHECK_FALSE(std::filesystem::exists(settings.output / "checkpoint.json"));
    return;
  }
  settings.resume = true;
  run(settings, pool);
  compare(folder, "whole", "broken");
}

TEST_CASE("a rank that works long is not taken for a silent one", "[ranks]") {
  const TemporaryFolder folder;
  RunSettings settings = small_run(folder / "slow");
  settings.generations = 0;
  fake::Script script;
  script.on_reset = [] { std::this_thread::sleep_for(std::chrono::milliseconds(60)); };
  Ranks others(2, measuring(settings, 1, script));
  HostPool pool(hosts(), 1);
  RankSettings impatient{"{}"};
  impatient.silence_limit = std::chrono::milliseconds(40);
  RankUnits units(pool, others.lead, settings.tasks, impatient);
  CHECK_FALSE(run(settings, pool, {}, nullptr, &units).stopped);
}

TEST_CASE("waiting for ranks to get ready ends when the run is stopped", "[ranks]") {
  HostPool pool(hosts(), 1);
  Ranks others(2, [](Mailbox& mine) {  // says nothing, as if it were loading its model
    for (;; std::this_thread::sleep_for(std::chrono::milliseconds(1))) {
      const auto message = mine.receive();
      if (message && std::holds_alternative<messages::Stop>(messages::read(message->bytes))) break;
    }
    mine.send(0, messages::write(messages::Bye{}));
  });
  const std::atomic<bool> stop = true;
  CHECK_THROWS_WITH(RankUnits(pool, others.lead, {}, {"{}"}, &stop), Contains("rank 1: must be ready before the run is stopped"));
}

TEST_CASE("a rank that is not ready, or has something else, is refused before the run begins", "[ranks]") {
  HostPool pool(hosts(), 1);
  {
    Ranks others(3, [](Mailbox& mine) { report_failure(mine, "model x.gguf: no such file", false); });
    CHECK_THROWS_WITH(RankUnits(pool, others.lead, {}, {"{}"}), Contains(": model x.gguf: no such file"));
  }
  {
    Ranks others(2, [](Mailbox& mine) { report_failure(mine, "--length: must be", true); });
    CHECK_THROWS_AS(RankUnits(pool, others.lead, {}, {"{}"}), std::invalid_argument);
  }
  {
    Ranks others(2, measuring(small_run("unused")));
    CHECK_THROWS_WITH(RankUnits(pool, others.lead, {}, {R"({"model": "a"})"}), Contains("has model nothing, here \"a\""));
  }
}

TEST_CASE("a rank with another instruction set is refused with both names and the lesser one", "[ranks]") {
  HostPool pool(hosts(), 1);
  const std::string best = kernels::isa_names().front();
  const auto identity = [](const std::string& isa) { return nlohmann::json{{"isa", isa}, {"model", "a"}}.dump(); };
  const auto refusal = [&](const std::string& here, const std::string& there) {
    Ranks others(2, [&, there](Mailbox& mine) {
      HostPool own(hosts(), 1);
      const auto fitness = make_fitness("fidelity");
      serve_units(mine, own, *fitness, {}, {}, {identity(there), "there", 0.01}, nullptr);
    });
    try {
      RankUnits(pool, others.lead, {}, {identity(here)});
    } catch (const std::runtime_error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  CHECK(refusal(best, "scalar") ==
        "rank 1 on there: must use rank 0's instruction set (" + best + "), uses scalar; set NAMM_ISA=scalar on all ranks");
  CHECK_THAT(refusal("scalar", best), Contains("(scalar), uses " + best) && Contains("set NAMM_ISA=scalar on all ranks"));
  CHECK(refusal(best, best).empty());
}

TEST_CASE("of two instruction sets the lesser is what both machines have", "[ranks]") {
  const std::vector<std::string>& names = kernels::isa_names();
  CHECK(names.back() == "scalar");
  CHECK(std::count(names.begin(), names.end(), "scalar") == 1);
  for (std::size_t i = 0; i < names.size(); ++i)
    for (std::size_t j = i; j < names.size(); ++j) {
      CHECK(kernels::lesser_isa(names[i], names[j]) == names[j]);
      CHECK(kernels::lesser_isa(names[j], names[i]) == names[j]);
    }
  CHECK(kernels::lesser_isa(names.front(), "of another machine") == "scalar");
}
