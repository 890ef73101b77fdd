// Everything that can be wrong is one clear line.
#include "core/policies/key_probe.hpp"
#include "evolve/loop.hpp"
#include "tests/check.hpp"
#include "tests/evolve/loop_fixture.hpp"

using namespace namm;
using namespace namm::evolve;
using namespace fixture;
using Catch::Matchers::Equals;

namespace {

/// The message of what run() throws; checks that it is one line and of the right kind.
template <class Error>
std::string message_of(const RunSettings& settings) {
  HostPool pool(hosts(), 1);
  try {
    run(settings, pool);
  } catch (const Error& error) {
    const std::string message = error.what();
    CHECK(message.find('\n') == std::string::npos);
    CHECK(message.size() < 400);
    return message;
  }
  FAIL("nothing was thrown");
  return {};
}

}  // namespace

TEST_CASE("wrong settings are refused before anything is written", "[loop]") {
  const TemporaryFolder folder;
  const auto refused = [&](auto change) {
    RunSettings settings = small_run(folder / "run");
    change(settings);
    const std::string message = message_of<std::invalid_argument>(settings);
    CHECK_FALSE(std::filesystem::exists(folder / "run"));
    return message;
  };
  CHECK_THAT(refused([](RunSettings& s) { s.prototype = make_policy("h2o"); }), Contains("parameters") && Contains("h2o"));
  CHECK_THAT(refused([](RunSettings& s) { s.prototype = nullptr; }), Contains("policy"));
  CHECK_THAT(refused([](RunSettings& s) {
               std::vector<ProbeLayer> layers;  // more than JSON holds, which binary policies can have
               for (int i = 0; i < 57; ++i) layers.push_back({i, 1, 49'999, 1, std::vector<float>(50'000), {}, {}});
               s.prototype = std::make_shared<KeyProbePolicy>(std::make_shared<TokenProbe>(ProbeInput::key, layers), 0.0f);
             }),
             Contains("must have at most 2796202 numbers to evolve") && Contains("has 2850228"));
  CHECK_THAT(refused([](RunSettings& s) { s.tasks.clear(); }), Contains("tasks"));
  CHECK_THAT(refused([](RunSettings& s) { s.budgets.clear(); }), Contains("budgets"));
  CHECK_THAT(refused([](RunSettings& s) { s.lengths_tokens.clear(); }), Contains("lengths"));
  CHECK_THAT(refused([](RunSettings& s) { s.prompts_per_task = 0; }), Contains("prompts per task"));
  CHECK_THAT(refused([](RunSettings& s) { s.training_pool = 1; }), Contains("training pool") && Contains("is 1"));
  CHECK_THAT(refused([](RunSettings& s) { s.validation_prompts = 0; }), Contains("validation prompts"));
  CHECK_THAT(refused([](RunSettings& s) { s.validate_every = 0; }), Contains("validation interval"));
  CHECK_THAT(refused([](RunSettings& s) { s.interval_tokens = 0; }), Contains("update interval"));
  CHECK_THAT(refused([](RunSettings& s) { s.generations = -1; }), Contains("generations") && Contains("-1"));
  CHECK_THAT(refused([](RunSettings& s) { s.population = 1; }), Contains("population") && Contains("is 1"));
  CHECK_THAT(refused([](RunSettings& s) { s.step_size = 0; }), Contains("step size"));
  CHECK_THAT(refused([](RunSettings& s) { s.strategy = "cmaes"; }), Contains("cmaes") && Contains("cma"));
  CHECK_THAT(refused([](RunSettings& s) { s.fitness = "score"; }), Contains("task-score"));
  CHECK_THAT(refused([](RunSettings& s) { s.stop.restarts = 1; }), Contains("restarts") && Contains("stagnation limit"));
  CHECK_THAT(refused([](RunSettings& s) { s.stop = {0, std::nullopt, 3, 20, 2}; }), Contains("65536") && Contains("is 4194304"));
  CHECK_THAT(refused([](RunSettings& s) {
               s.population = 0;
               s.stop = {0, std::nullopt, 3, 2000, 2};
             }),
             Contains("65536") && Contains("is inf"));
}

TEST_CASE("an output folder with another run is refused unless resuming", "[loop]") {
  const TemporaryFolder folder;
  RunSettings settings = small_run(folder / "run");
  settings.generations = 1;
  HostPool pool(hosts(), 1);
  run(settings, pool);
  const std::string before = read(folder / "run/checkpoint.json");
  CHECK_THAT(message_of<std::runtime_error>(settings), Contains("another run") && Contains("resume"));
  CHECK(read(folder / "run/checkpoint.json") == before);

  settings.resume = true;
  settings.output = folder / "nothing here";
  CHECK_THAT(message_of<std::runtime_error>(settings), Contains("nothing here") && Contains("checkpoint.json"));
  CHECK_FALSE(std::filesystem::exists(folder / "nothing here"));
}

TEST_CASE("an output folder that cannot be written is one clear line", "[loop]") {
  const TemporaryFolder folder;
  write(folder / "file", "x");
  CHECK_THAT(message_of<std::runtime_error>(small_run(folder / "file/run")), Contains("file/run"));
  CHECK_THAT(message_of<std::runtime_error>(small_run(folder / "file")), Contains("output folder"));
  CHECK_THAT(message_of<std::runtime_error>(small_run("/proc/namm-run")), Contains("/proc/namm-run"));
}

TEST_CASE("a checkpoint that is cut, damaged or foreign is one clear line", "[loop][resume]") {
  const TemporaryFolder folder;
  RunSettings settings = small_run(folder / "run");
  settings.generations = 2;
  HostPool pool(hosts(), 1);
  run(settings, pool);
  settings.resume = true;
  const std::string good = read(folder / "run/checkpoint.json");
  const auto refused = [&](const std::string& text) {
    write(folder / "run/checkpoint.json", text);
    const std::string message = message_of<std::runtime_error>(settings);
    CHECK_THAT(message, Contains("checkpoint '"));
    return message;
  };
  for (std::size_t size = 0; size + 2 < good.size(); size += 97) CHECK_THAT(refused(good.substr(0, size)), Contains("cut"));
  CHECK_THAT(refused("[1, 2]"), Contains("namm-evolution"));
  CHECK_THAT(refused(read(folder / "run/policy.json")), Contains("namm-evolution"));
  nlohmann::json json = nlohmann::json::parse(good);
  for (const auto& [name, value] : json.items()) {
    CAPTURE(name);
    nlohmann::json damaged = json;
    damaged.erase(name);
    refused(damaged.dump());
    if (name == "provenance") continue;
    damaged[name] = "something else";
    refused(damaged.dump());
  }
  json["version"] = 2;
  CHECK_THAT(refused(json.dump()), Contains("version"));
  write(folder / "run/checkpoint.json", good);
  CHECK(run(settings, pool).generation == 2);
}

TEST_CASE("a run is resumed with its own settings only", "[loop][resume]") {
  const TemporaryFolder folder;
  RunSettings settings = small_run(folder / "run");
  settings.generations = 1;
  HostPool pool(hosts(), 1);
  run(settings, pool);
  settings.resume = true;
  const auto refused = [&](auto change) {
    RunSettings other = settings;
    change(other);
    return message_of<std::runtime_error>(other);
  };
  CHECK_THAT(refused([](RunSettings& s) { s.population = 5; }), Contains("'population'") && Contains("(4)") && Contains("is 5"));
  CHECK_THAT(refused([](RunSettings& s) { s.seed = 2; }), Contains("'seed'"));
  CHECK_THAT(refused([](RunSettings& s) { s.strategy = "sep-cma"; }), Contains("'strategy'"));
  CHECK_THAT(refused([](RunSettings& s) { s.fitness = "task-score"; }), Contains("'fitness'"));
  CHECK_THAT(refused([](RunSettings& s) { s.budgets = {parse_budget("10%")}; }), Contains("'budgets'"));
  CHECK_THAT(refused([](RunSettings& s) { s.tasks.pop_back(); }), Contains("'tasks'"));
  CHECK_THAT(refused([](RunSettings& s) { s.prototype = make_policy("linear"); }), Contains("'policy_fingerprint'"));
  CHECK_THAT(refused([](RunSettings& s) { s.protocol.question_after = false; }), Contains("'question_after'"));
}

TEST_CASE("a run is resumed with the model and the texts it was begun with", "[loop][resume]") {
  const TemporaryFolder folder;
  RunSettings settings = small_run(folder / "run");
  settings.generations = 1;
  settings.sources = {{"data", "0123"}, {"model_bytes", 77}};
  HostPool pool(hosts(), 1);
  run(settings, pool);
  settings.resume = true;
  RunSettings other = settings;
  other.sources["data"] = "4567";
  CHECK_THAT(message_of<std::runtime_error>(other), Contains("'data'") && Contains("0123") && Contains("is \"4567\""));
  other.sources = {{"haystack", "own"}, {"model_bytes", 77}};
  CHECK_THAT(message_of<std::runtime_error>(other), Contains("'data'") && Contains("is nothing"));
  other.sources = nlohmann::json::object();
  CHECK_THAT(message_of<std::runtime_error>(other), Contains("'sources'") && Contains("is nothing"));
  CHECK(run(settings, pool).generation == 1);

  nlohmann::json old = nlohmann::json::parse(read(folder / "run/checkpoint.json"));
  old["settings"].erase("sources");  // as it was written before sources were recorded
  write(folder / "run/checkpoint.json", old.dump());
  settings.generations = 2;
  CHECK(run(settings, pool).generation == 2);
}

TEST_CASE("a setting that only the run of before has is refused, too", "[loop][resume]") {
  const TemporaryFolder folder;
  RunSettings settings = small_run(folder / "run");
  settings.generations = 1;
  settings.start = "least-squares";
  settings.stop = {0, std::nullopt, 3, 2, 2};
  HostPool pool(hosts(), 1);
  run(settings, pool);
  settings.resume = true;
  RunSettings other = settings;
  other.start.clear();
  CHECK_THAT(message_of<std::runtime_error>(other), Contains("'start'") && Contains("is nothing"));
  other = settings;
  other.stop = {};
  CHECK_THAT(message_of<std::runtime_error>(other), Contains("'restarts'") && Contains("is nothing"));

  nlohmann::json damaged = nlohmann::json::parse(read(folder / "run/checkpoint.json"));
  damaged["generation"] = 3;
  damaged["history"] = {1, 2, 3, 4};
  damaged["progress"]["restart"] = 3;
  write(folder / "run/checkpoint.json", damaged.dump());
  CHECK_THAT(message_of<std::runtime_error>(settings), Contains("'restart' must be at most") && Contains("is 3"));
}

TEST_CASE("names that are not UTF-8 do not stop a run or its resumption", "[loop][resume]") {
  const TemporaryFolder folder;
  RunSettings settings = small_run(folder / "run");
  settings.tasks = {std::make_shared<fake::Task>("b\xe4r")};
  settings.provenance = {{"file", "b\xe4r.gguf"}};
  settings.generations = 1;
  HostPool pool(hosts(), 1);
  run(settings, pool);
  settings.resume = true;
  settings.generations = 2;
  CHECK(run(settings, pool).generation == 2);
}

TEST_CASE("a failing host ends the run with its own message; the run can be resumed", "[loop][resume]") {
  for (int workers : {1, 3}) {
    const TemporaryFolder folder;
    RunSettings settings = small_run(folder / "run");
    std::atomic<int> count = 0;
    fake::Script script;
    script.on_reset = [&] {
      if (++count == 110) throw std::runtime_error("model: the context of 4096 tokens is full");
    };
    HostPool pool(hosts(script), workers);
    CHECK_THROWS_WITH(run(settings, pool), Equals("model: the context of 4096 tokens is full"));
    settings.resume = true;
    CHECK(run(settings, pool).generation == settings.generations);
    RunSettings whole = small_run(folder / "whole");
    run(whole, pool);
    CHECK(read(folder / "run/log.jsonl") == read(folder / "whole/log.jsonl"));
    CHECK(read(folder / "run/policy.json") == read(folder / "whole/policy.json"));
  }
}
