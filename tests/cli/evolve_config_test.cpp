// A run as a file: what is echoed repeats the run, flags win, stages follow each other. What is refused, and what is said.
#include <signal.h>

#include <chrono>
#include <thread>

#include "tests/support/program.hpp"

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

/// Lines of a prompt file: numbers from `first` on to be found again, all under this id unless it is empty.
std::string questions(int count, int first, const std::string& id = {}) {
  std::string out;
  for (int i = 0; i < count; ++i) {
    const std::string number = std::to_string(first + i), filler = "The grass is green. The sky is blue. The sun is yellow. ";
    json line = {{"context", filler + "The number of the door is " + number + ". " + filler},
                 {"question", "What is the number of the door?"},
                 {"answers", number}};
    if (!id.empty()) line["id"] = id;
    out += line.dump() + "\n";
  }
  return out;
}

/// Sends the process Ctrl-C when `path` is there.
Surroundings interrupted_at(const std::string& path) {
  Surroundings out;
  out.meanwhile = [path](int process) {
    for (int i = 0; i < 20000 && !std::filesystem::exists(path); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    ::kill(process, SIGINT);
  };
  return out;
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
  const json shipped = json::parse(read(NAMM_SOURCE_DIR "/core/policies/shipped/default.json"));
  CHECK(json::parse(read(folder / "run/policy.json"))["policy"] == shipped["policy"]);
  // read again, also as a version wrote it that named options which a policy that exists has no use for
  json echoed = json::parse(read(folder / "run/run.json"));
  CHECK_FALSE(echoed.contains("features"));
  echoed["features"] = "light";
  write(folder / "run.json", echoed.dump());
  CHECK(run_program({"evolve", "--config", folder / "run.json", "--output", folder / "again", "--quiet"}).code == 0);
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
  refused(R"({"model": "m.gguf",)", 1, {"run.json", "must be JSON"});
  refused("[1]", 1, {"run.json", "JSON object"});
  check_refused(run_program({"evolve", "--config", folder / "none.json", "--output", folder / "out"}), 1, {"none.json"});
  check_refused(run_program({"evolve", "--resume", folder / "none"}), 1, {"--resume", "none does not exist", "--output"});
  refused(R"({"model": "m.gguf", "rank-timeout": 4})", 2, {"--rank-timeout", "at least 5", "is 4"});
  refused(R"({"model": "m.gguf", "stop-stagnant": 5, "restarts": 30})", 2, {"restarts", "at most 65536"});
  refused(R"({"model": "m.gguf", "stages": [{}, {"training-pool": 2}]})", 2, {"training pool", "is 2"});
  refused(R"({"model": "m.gguf", "policy": "default", "features": "paper"})", 2, {"--features", "--policy default", "\"paper\""});
  refused(R"({"model": "m.gguf", "policy": "default", "probe": "p.json"})", 2, {"--probe", "--policy default", "p.json"});
  refused(R"({"model": "m.gguf", "policy": "default", "features": "paper", "stages": [{}, {}]})", 2, {"--features"});
  refused(R"({"model": "m.gguf", "stages": [{}, {"features": "paper"}]})", 2, {"--features", "the stage before"});
  // limits of the library, in the words of the options
  refused(R"({"model": "m.gguf", "generations": -1})", 2, {"--generations: must be at least 0, is -1; see --help"});
  refused(R"({"model": "m.gguf", "validate-every": 0})", 2, {"--validate-every: must be at least 1, is 0; see --help"});
  refused(R"({"model": "m.gguf", "prompts": -3})", 2, {"--prompts: must be at least 1, is -3; see --help"});
  refused(R"({"model": "m.gguf", "validation": 0})", 2, {"--validation: must be at least 1, is 0; see --help"});
  refused(R"({"model": "m.gguf", "training-pool": -1})", 2, {"--training-pool: must be at least 0, is -1; see --help"});
  refused(R"({"model": "m.gguf", "stop-stagnant": -1})", 2, {"--stop-stagnant: must be at least 0, is -1; see --help"});
  refused(R"({"model": "m.gguf", "stop-after-minutes": -2})", 2, {"--stop-after-minutes: must be positive", "is -2.0", "60"});
  refused(R"({"model": "m.gguf", "restarts": -1})", 2, {"--restarts: must be at least 0, is -1; see --help"});
  refused(R"({"model": "m.gguf", "restarts": 1})", 2, {"--restarts: must come with --stop-stagnant"});
  refused(R"({"model": "m.gguf", "restart-population": 17})", 2, {"--restart-population: must be from 1 to 16", "is 17.0"});
  CHECK_FALSE(std::filesystem::exists(folder / "out"));
}

TEST_CASE("stopped before anything is there, a run says so") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  const Outcome outcome = run_program({"evolve", "--model", host, "--tasks", "passkey", "--length", "400", "--validation", "2000",
                                       "--budget", "50%", "--output", folder / "run", "--quiet"},
                                      interrupted_at(folder / "run"));
  CAPTURE(outcome.err);
  CHECK(outcome.code == 1);
  CHECK(outcome.out == "stopped before the start was validated: nothing is written\n");
  CHECK(std::filesystem::is_empty(folder / "run"));
}

TEST_CASE("--data: no prompt counts twice, and a run goes on with the text it was begun with") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  const std::string data = folder / "mine.jsonl";
  const auto evolve = [&](const std::string& file, const std::string& output, const std::vector<std::string>& more) {
    std::vector<std::string> words = {"evolve", "--model",      host,  "--data",        file,   "--length",
                                      "96",     "--budget",     "50%", "--output",      output, "--interval",
                                      "32",     "--population", "4",   "--generations", "1"};
    words.insert(words.end(), more.begin(), more.end());
    return run_program(words);
  };
  const auto settings_of = [&](const std::string& run) {
    return json::parse(read(folder / (run + "/checkpoint.json")))["settings"];
  };
  write(data, questions(9, 100));  // 6 train, 2 validate
  check_refused(evolve(data, folder / "x", {"--validation", "3"}), 2, {"--validation", "at most the 2", "mine.jsonl", "is 3"});
  check_refused(evolve(data, folder / "x", {"--prompts", "7"}), 2, {"--prompts", "at most the 6", "is 7"});
  check_refused(evolve(data, folder / "x", {"--training-pool", "7"}), 2, {"--training-pool", "at most the 6", "is 7"});
  write(folder / "few.jsonl", questions(3, 100));
  check_refused(evolve(folder / "few.jsonl", folder / "x", {}), 2, {"--data", "at least 4", "few.jsonl holds 3"});

  const Outcome run = evolve(data, folder / "run", {});
  CAPTURE(run.err);
  REQUIRE(run.code == 0);
  CHECK_THAT(run.err, Contains("mine.jsonl: has fewer prompts") && Contains("--prompts 4 and --validation 2"));
  CHECK(settings_of("run")["validation_prompts"] == 2);
  CHECK(settings_of("run")["sources"]["model_bytes"] == std::filesystem::file_size(host));
  CHECK(run_program({"evolve", "--resume", folder / "run", "--generations", "2", "--quiet"}).code == 0);
  write(data, questions(9, 500));
  check_refused(run_program({"evolve", "--resume", folder / "run", "--generations", "3", "--quiet"}), 1,
                {"checkpoint.json", "setting 'data' must be that of the run"});

  // of a text every prompt is another window
  std::string book;
  for (int i = 0; i < 400; ++i) book += "In chapter " + std::to_string(i) + " the rain did not end. ";
  write(folder / "book.txt", book);
  REQUIRE(evolve(folder / "book.txt", folder / "book", {"--fitness", "fidelity", "--validation", "3"}).code == 0);
  CHECK(settings_of("book")["validation_prompts"] == 3);
}

TEST_CASE("--data: prompts of one id are told apart, and long questions and answers have room") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  write(folder / "own.jsonl", questions(9, 100));
  write(folder / "same.jsonl", questions(9, 100, "one"));
  for (const char* const fitness : {"fidelity", "semi-live"}) {
    const auto log_of = [&](const std::string& name) {
      const Outcome outcome = run_program({"evolve",
                                           "--model",
                                           host,
                                           "--data",
                                           folder / (name + ".jsonl"),
                                           "--fitness",
                                           fitness,
                                           "--generations",
                                           "1",
                                           "--population",
                                           "4",
                                           "--length",
                                           "96",
                                           "--budget",
                                           "50%",
                                           "--validation",
                                           "2",
                                           "--interval",
                                           "32",
                                           "--quiet",
                                           "--output",
                                           folder / (name + fitness)});
      CAPTURE(fitness, name, outcome.err);
      REQUIRE(outcome.code == 0);
      return read(folder / (name + fitness + "/log.jsonl"));
    };
    CHECK(log_of("same") == log_of("own"));
  }

  std::string lengthy;
  for (int i = 0; i < 200; ++i) lengthy += " door " + std::to_string(i);
  std::string lines;
  for (int i = 0; i < 5; ++i)
    lines += json{{"context", "The doors of house " + std::to_string(i) + " have numbers."},
                  {"question", "Which?" + lengthy},
                  {"answers", lengthy}}
                 .dump() +
             "\n";
  write(folder / "long.jsonl", lines);
  const Outcome outcome = run_program({"evolve", "--model", host, "--data", folder / "long.jsonl", "--length", "64", "--budget",
                                       "50%", "--generations", "0", "--output", folder / "long", "--quiet"});
  CAPTURE(outcome.err);
  CHECK(outcome.code == 0);
}

TEST_CASE("a run on a trace says beforehand what its end would lack, and its run.json is read again") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  const std::string trace = folder / "t.trace";
  REQUIRE(run_program({"trace", "--model", host, "--output", trace, "--tasks", "passkey", "--length", "200", "--prompts", "3",
                       "--validation", "1", "--statistics", "sums", "--keys", "none"})
              .code == 0);
  const auto evolve = [&](const std::string& output, const std::vector<std::string>& more,
                          const Surroundings& surroundings = {}) {
    std::vector<std::string> words = {"evolve",       "--traces", trace,      "--budget",     "25%",
                                      "--population", "4",        "--output", folder / output};
    words.insert(words.end(), more.begin(), more.end());
    return run_program(words, surroundings);
  };
  check_refused(evolve("x", {"--model", folder / "none.gguf"}), 1, {"none.gguf", "--model"});
  check_refused(evolve("x", {"--tasks", "passkey"}), 2, {"--tasks", "--traces", "--model"});
  check_refused(evolve("x", {"--no-chat"}), 2, {"--no-chat", "--traces"});
  check_refused(evolve("x", {"--training-pool", "4"}), 2, {"--training-pool", "at most the 3", "is 4"});
  std::string plain;
  for (int i = 0; i < 1000; ++i) plain += "Line " + std::to_string(i) + " of a text without answers.\n";
  write(folder / "plain.txt", plain);
  check_refused(evolve("x", {"--model", host, "--data", folder / "plain.txt"}), 2, {"--data", "gold answer", "plain.txt"});
  CHECK_FALSE(std::filesystem::exists(folder / "x"));

  const Outcome run = evolve("run", {"--prompts", "2", "--training-pool", "2", "--generations", "1"});
  CAPTURE(run.err);
  REQUIRE(run.code == 0);
  CHECK_THAT(run.err, Contains("t.trace: has fewer prompts") && Contains("--validation 1"));
  CHECK(json::parse(read(folder / "run/checkpoint.json"))["settings"]["training_pool"] == 2);
  REQUIRE(run_program({"evolve", "--config", folder / "run/run.json", "--output", folder / "again", "--quiet"}).code == 0);
  CHECK(content(folder / "again") == content(folder / "run"));
  CHECK(run_program({"evolve", "--resume", folder / "again", "--generations", "2", "--quiet"}).code == 0);

  // stopped in the live evaluation: the policy is there, and what is not is said
  const Outcome live =
      evolve("live", {"--model", host, "--tasks", "passkey,kv-recall,niah-single", "--length", "3000", "--generations", "0"},
             interrupted_at(folder / "live/checkpoint.json"));
  CAPTURE(live.err);
  CHECK(live.code == 1);
  CHECK_THAT(live.err, Contains("stopped before the live evaluation was done") && Contains("live.json"));
  CHECK(std::filesystem::exists(folder / "live/policy.json"));
  CHECK_FALSE(std::filesystem::exists(folder / "live/live.json"));
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

TEST_CASE("A run in which nothing can be selected says so") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  const Outcome outcome =
      run_program({"evolve", "--model", host, "--tasks", "passkey", "--length", "64", "--generations", "3", "--population", "4",
                   "--prompts", "1", "--validation", "1", "--budget", "100%", "--output", folder / "run"});
  CAPTURE(outcome.err);
  REQUIRE(outcome.code == 0);
  CHECK_THAT(outcome.err, Contains("hint: all candidates of three generations had the same fitness"));
  CHECK_THAT(outcome.err, Contains("--validation 1: 1 prompt decides which policy is kept"));
}
