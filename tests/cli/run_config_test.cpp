// What stands in a run file: of a stage, and outside of the stages.
#include "tests/support/program.hpp"

using namespace namm::test;
using nlohmann::json;

TEST_CASE("a stage may put off a switch that holds outside of the stages") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  json config = {{"model", host},   {"tasks", "passkey"}, {"length", 64},   {"generations", 1}, {"population", 4}, {"prompts", 1},
                 {"validation", 1}, {"budget", "50%"},    {"interval", 32}, {"quiet", true},    {"no-chat", true}};
  config["stages"] = json::array({json::object({{"no-chat", false}}), json::object({{"seed", 2}})});
  write(folder / "run.json", config.dump());
  const Outcome outcome = run_program({"evolve", "--config", folder / "run.json", "--output", folder / "run"});
  CAPTURE(outcome.err);
  REQUIRE(outcome.code == 0);
  const auto chat = [&](const char* stage) {
    return json::parse(read(folder / "run" + "/" + stage + "/checkpoint.json")).at("settings").at("chat_template");
  };
  CHECK(chat("stage-1") == true);
  CHECK(chat("stage-2") == false);
}

TEST_CASE("a run file that is nested too deep is refused, not a crash") {
  const Folder folder;
  write(folder / "run.json", "{\"a\":" + std::string(100'000, '['));
  check_refused(run_program({"evolve", "--config", folder / "run.json", "--output", folder / "out"}), 1,
                {"run.json", "32 levels"});
  CHECK(folder.names() == std::vector<std::string>{"run.json"});
}

TEST_CASE("a run of the Python package is gone on with there") {
  const Folder folder;
  write(folder / "run.json", json{{"runtime", "transformers 5.24.0, torch 2.15.0"}, {"seed", 1}}.dump());
  check_refused(run_program({"evolve", "--resume", folder / ""}), 2,
                {"run.json", "in Python (\"transformers 5.24.0", "resume=True"});
}

TEST_CASE("a run goes on with the instruction set it was begun with") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  const auto evolve = [](const std::string& isa, std::vector<std::string> words) {
    Surroundings surroundings;
    surroundings.launcher = {"env", "-u", "NAMM_ISA"};
    if (!isa.empty()) surroundings.launcher = {"env", "NAMM_ISA=" + isa};
    words.insert(words.begin(), "evolve");
    words.emplace_back("--quiet");
    return run_program(words, surroundings);
  };
  const std::string run = folder / "run", file = folder / "run/run.json";
  const Outcome begun = evolve("scalar", {"--model", host, "--tasks", "passkey", "--length", "64", "--generations", "1",
                                          "--population", "4", "--prompts", "1", "--budget", "50%", "--output", run});
  CAPTURE(begun.err);
  REQUIRE(begun.code == 0);
  json echoed = json::parse(read(file));
  CHECK(echoed.at("isa") == "scalar");

  const std::vector<std::string> resume = {"--resume", run, "--generations", "2"};
  check_refused(evolve("", resume), 1, {"run '" + run + "'", "begun with (scalar)", "this process uses ", "set NAMM_ISA=scalar"});
  write(folder / "other.json", json{{"model", host}}.dump());  // the run's own file counts, not that of --config
  check_refused(evolve("", {"--resume", run, "--config", folder / "other.json"}), 1, {"begun with (scalar)", "NAMM_ISA=scalar"});
  CHECK(evolve("scalar", resume).code == 0);

  echoed["isa"] = "of another machine";
  write(file, echoed.dump());
  check_refused(evolve("", resume), 1, {"(of another machine)", "this machine lacks of another machine", "begin a new run"});
  echoed["isa"] = 3;
  write(file, echoed.dump());
  check_refused(evolve("", resume), 2, {"run.json", "\"isa\"", "name of an instruction set", "is 3"});

  // as it was written before it named one: goes on, and says from now on with which
  echoed.erase("isa");
  write(file, echoed.dump());
  CHECK(evolve("", {"--resume", run, "--generations", "3"}).code == 0);
  CHECK(json::parse(read(file)).at("isa") != "scalar");

  // a new run from the file of another one is begun, and says that it will not be the same
  echoed["isa"] = "scalar";
  echoed["quiet"] = false;
  write(file, echoed.dump());
  Surroundings best;
  best.launcher = {"env", "-u", "NAMM_ISA"};
  const Outcome again = run_program({"evolve", "--config", file, "--output", folder / "again"}, best);
  CHECK(again.code == 0);
  CHECK_THAT(again.err, Contains("instruction set scalar") && Contains("not write the same bytes"));
}

TEST_CASE("an instruction set that the machine lacks ends evolve before it loads anything") {
  Surroundings wrong;
  wrong.launcher = {"env", "NAMM_ISA=avx99"};
  check_refused(run_program({"evolve", "--model", "missing.gguf", "--output", "unused"}, wrong), 1, {"NAMM_ISA", "avx99"});
}
