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
