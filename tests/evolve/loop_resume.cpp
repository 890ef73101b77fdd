// A run that was killed and resumed gives the files of one that never was.
#include <memory>

#include "evolve/loop.hpp"
#include "tests/check.hpp"
#include "tests/evolve/loop_fixture.hpp"

using namespace namm;
using namespace namm::evolve;
using namespace fixture;

namespace {

struct Killed {};

void compare_folders(const TemporaryFolder& folder, const std::string& a, const std::string& b) {
  for (const char* file : {"policy.json", "policy-25.json", "policy-50.json", "log.jsonl", "checkpoint.json"}) {
    CAPTURE(file);
    const std::string left = read(folder / (a + "/" + file)), right = read(folder / (b + "/" + file));
    CHECK(!left.empty());
    CHECK(left == right);
  }
}

}  // namespace

TEST_CASE("a run killed after every generation and resumed is the run never killed, byte for byte", "[loop][resume]") {
  for (const char* strategy : {"cma", "sep-cma"}) {
    for (const std::size_t pool_size : {0u, 5u}) {
      CAPTURE(strategy, pool_size);
      const TemporaryFolder folder;
      const auto settings_of = [&](const char* name) {
        RunSettings settings = small_run(folder / name);
        settings.strategy = strategy;
        settings.training_pool = pool_size;
        settings.generations = 7;  // the last one is not validated on its own
        settings.provenance = {{"date", name}};
        return settings;
      };
      RunSettings whole = settings_of("whole");
      whole.provenance = {{"date", "killed"}};
      HostPool pool(hosts(), 2);
      const RunResult expected = run(whole, pool);

      RunSettings killed = settings_of("killed");
      RunCallbacks kill;
      kill.generation = [](const GenerationRecord&) { throw Killed{}; };
      HostPool other(hosts(), 1);
      CHECK_THROWS_AS(run(killed, other, kill), Killed);
      killed.resume = true;
      killed.provenance = {{"date", "the first start's date stays"}};
      for (int g = 1; g <= 7; ++g) CHECK_THROWS_AS(run(killed, other, kill), Killed);
      const RunResult result = run(killed, other, kill);  // nothing left but the end
      CHECK(result.generation == 7);
      CHECK(result.validation == expected.validation);
      compare_folders(folder, "whole", "killed");
    }
  }
}

TEST_CASE("a run killed in the middle of writing its logs is repaired", "[loop][resume]") {
  const TemporaryFolder folder;
  HostPool pool(hosts(), 2);
  run(small_run(folder / "whole"), pool);
  RunSettings settings = small_run(folder / "killed");
  settings.generations = 3;
  run(settings, pool);
  std::ofstream(folder / "killed/log.jsonl", std::ios::app) << "{\"generation\": 4, \"fitn";
  std::ofstream(folder / "killed/timing.jsonl", std::ios::app) << "{\"generation\": 4, \"seco";
  settings.generations = 6;
  settings.resume = true;
  run(settings, pool);
  compare_folders(folder, "whole", "killed");
  std::istringstream timing(read(folder / "killed/timing.jsonl"));
  std::vector<int> generations;
  for (std::string line; std::getline(timing, line);) generations.push_back(nlohmann::json::parse(line)["generation"].get<int>());
  CHECK(generations == std::vector<int>{0, 1, 2, 3, 4, 5, 6});
}

TEST_CASE("stopped at any moment, a run ends with what it has and continues identically", "[loop][resume]") {
  const TemporaryFolder folder;
  RunSettings settings = small_run(folder / "whole");
  settings.generations = 4;
  settings.validate_every = 1;
  std::atomic<int> resets = 0;
  {
    HostPool pool(hosts({{}, {}, &resets}), 1);
    run(settings, pool);
  }
  const int all = resets;
  int with_checkpoint = 0;
  for (int moment = 1; moment < all; moment += 13) {
    CAPTURE(moment);
    const std::string name = std::to_string(moment);
    settings.output = folder / name;
    settings.resume = false;
    std::atomic<bool> stop = false;
    int count = 0;
    fake::Script script;
    script.on_reset = [&] { stop = stop || ++count == moment; };
    HostPool pool(hosts(script), 1);
    const RunResult result = run(settings, pool, {}, &stop);
    CHECK(result.stopped);
    CHECK(result.policy != nullptr);
    CHECK(result.written == std::filesystem::exists(folder / (name + "/checkpoint.json")));
    if (!result.written) {
      CHECK_FALSE(std::filesystem::exists(folder / (name + "/policy.json")));
    } else {
      ++with_checkpoint;
      CHECK_FALSE(read(folder / (name + "/policy.json")).empty());
      settings.resume = true;
    }
    stop = false;
    CHECK_FALSE(run(settings, pool, {}, &stop).stopped);
    compare_folders(folder, "whole", name);
  }
  CHECK(with_checkpoint > 3);
}

TEST_CASE("a finished run can be given more generations", "[loop][resume]") {
  const TemporaryFolder folder;
  HostPool pool(hosts(), 2);
  RunSettings settings = small_run(folder / "long");
  settings.generations = 9;
  run(settings, pool);
  settings.output = folder / "short";
  settings.generations = 5;
  run(settings, pool);
  settings.resume = true;
  settings.generations = 9;
  run(settings, pool);
  compare_folders(folder, "long", "short");
}
