// A run as a file: what is echoed repeats the run, flags win, stages follow each other.
#include "tests/cli/program.hpp"

using namespace namm::test;
using nlohmann::json;

namespace {

const std::vector<std::string> kRunFiles = {"checkpoint.json", "log.jsonl", "policy.json"};

std::string content(const std::string& folder) {
  std::string all;
  for (const std::string& file : kRunFiles) all += read(folder + "/" + file);
  return all;
}

json small_run(const std::string& host) {
  return {{"model", host}, {"tasks", {"passkey"}}, {"length", 64},    {"generations", 2}, {"population", 4},
          {"prompts", 1},  {"validation", 1},      {"budget", "50%"}, {"interval", 32},   {"quiet", true}};
}

}  // namespace

TEST_CASE("A run may start from the policy that comes with the program") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  const Outcome outcome =
      run_program({"evolve", "--model", host, "--policy", "default", "--tasks", "passkey", "--length", "64", "--generations", "0",
                   "--validation", "1", "--budget", "50%", "--output", folder / "run", "--quiet"});
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  const json shipped = json::parse(read(NAMM_SOURCE_DIR "/namm/policies/shipped/default.json"));
  CHECK(json::parse(read(folder / "run/policy.json"))["policy"] == shipped["policy"]);
}

TEST_CASE("The strategy goes by the number of parameters unless one is named") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  const auto strategy_of = [&](const std::string& name, const std::vector<std::string>& more) {
    std::vector<std::string> words = {"evolve", "--model",       host,          "--tasks",      "passkey", "--length",
                                      "64",     "--generations", "0",           "--validation", "1",       "--budget",
                                      "50%",    "--output",      folder / name, "--quiet"};
    words.insert(words.end(), more.begin(), more.end());
    const Outcome outcome = run_program(words);
    INFO(outcome.err);
    REQUIRE(outcome.code == 0);
    return json::parse(read(folder / (name + "/policy.json")))["provenance"]["strategy"].get<std::string>();
  };
  CHECK(strategy_of("few", {"--policy", "linear", "--features", "light"}) == "cma");
  CHECK(strategy_of("many", {"--policy", "namm", "--features", "light"}) == "sep-cma-tpa");
  CHECK(strategy_of("named", {"--policy", "namm", "--features", "light", "--strategy", "es"}) == "es");
}

TEST_CASE("run.json repeats a run byte for byte, and flags win over it") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  evolve_into(host, folder / "flags");
  const json echoed = json::parse(read(folder / "flags/run.json"));
  CHECK(echoed["tasks"] == "passkey");
  CHECK(echoed["generations"] == 2);
  CHECK(echoed["strategy"] == "auto");  // defaults, too
  CHECK_FALSE(echoed.contains("output"));
  const Outcome again = run_program({"evolve", "--config", folder / "flags/run.json", "--output", folder / "again", "--quiet"});
  CAPTURE(again.err);
  REQUIRE(again.code == 0);
  CHECK(content(folder / "again") == content(folder / "flags"));
  CHECK(read(folder / "again/run.json") == read(folder / "flags/run.json"));

  // --resume needs nothing else
  REQUIRE(run_program({"evolve", "--resume", folder / "again", "--generations", "3", "--quiet"}).code == 0);
  CHECK(json::parse(read(folder / "again/run.json"))["generations"] == 3);
  REQUIRE(run_program(
              {"evolve", "--config", folder / "flags/run.json", "--generations", "3", "--output", folder / "three", "--quiet"})
              .code == 0);
  CHECK(content(folder / "again") == content(folder / "three"));
}

TEST_CASE("run files with something wrong are refused in one line, and no folder is made") {
  const Folder folder;
  const std::string file = folder / "run.json";
  const auto refused = [&](const std::string& text, int code, const std::vector<std::string>& parts) {
    write(file, text);
    check_refused(run_program({"evolve", "--config", file, "--output", folder / "out"}), code, parts);
  };
  refused(R"({"model": "m.gguf", "populatoin": 4})", 2, {"run.json", "populatoin", "nearest: population"});
  refused(R"({"model": "m.gguf", "population": {}})", 2, {"\"population\" must be a text, a number"});
  refused(R"({"model": "m.gguf", "population": "many"})", 2, {"many", "population"});
  refused(R"({"model": "m.gguf", "no-chat": 1})", 2, {"\"no-chat\" must be true or false, is 1"});
  refused(R"({"model": "m.gguf", "stages": []})", 2, {"\"stages\" must be a list"});
  refused(R"({"model": "m.gguf", "stages": [{"model": "other.gguf"}]})", 2, {"\"model\" must not be in a stage"});
  refused(R"({"model": "m.gguf", "resume": "x"})", 2, {"resume"});
  refused(R"({"generations": 3})", 2, {"--model"});
  refused(R"({"model": "m.gguf", "stages": [{}, {"strategy": "cms"}]})", 2, {"cms", "cma"});
  refused(R"({"model": "m.gguf",)", 1, {"run.json", "JSON object"});
  refused("[1]", 1, {"run.json", "JSON object"});
  check_refused(run_program({"evolve", "--config", folder / "none.json", "--output", folder / "out"}), 1, {"none.json"});
  CHECK_FALSE(std::filesystem::exists(folder / "out"));
}

TEST_CASE("stages: each begins with the policy of the one before, and what was stopped goes on") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  json config = small_run(host);
  config["stages"] = {{{"tasks", "passkey"}}, {{"tasks", {"passkey", "kv-recall"}}, {"seed", 2}}};
  write(folder / "two.json", config.dump());
  const Outcome outcome = run_program({"evolve", "--config", folder / "two.json", "--output", folder / "run"});
  CAPTURE(outcome.err);
  REQUIRE(outcome.code == 0);
  const json first = json::parse(read(folder / "run/stage-1/policy.json"));
  const json second = json::parse(read(folder / "run/stage-2/checkpoint.json"));
  CHECK(second["prototype"]["settings"]["weights"] == first["policy"]["weights"]);
  CHECK(second["settings"]["tasks"] == json({"passkey", "kv-recall"}));
  CHECK(second["settings"]["seed"] == 2);
  CHECK(read(folder / "run/policy.json") == read(folder / "run/stage-2/policy.json"));

  // as if it had been killed between the stages
  std::filesystem::copy(folder / "run", folder / "killed", std::filesystem::copy_options::recursive);
  std::filesystem::remove_all(folder / "killed/stage-2");
  std::filesystem::remove(folder / "killed/policy.json");
  REQUIRE(run_program({"evolve", "--resume", folder / "killed"}).code == 0);
  CHECK(content(folder / "killed/stage-1") == content(folder / "run/stage-1"));
  CHECK(content(folder / "killed/stage-2") == content(folder / "run/stage-2"));
  CHECK(read(folder / "killed/policy.json") == read(folder / "run/policy.json"));
  CHECK(read(folder / "killed/run.json") == read(folder / "run/run.json"));

  REQUIRE(run_program({"evolve", "--config", folder / "run/run.json", "--output", folder / "again", "--quiet"}).code == 0);
  CHECK(read(folder / "again/policy.json") == read(folder / "run/policy.json"));
}
