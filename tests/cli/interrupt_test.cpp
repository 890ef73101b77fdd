// Ctrl-C and SIGTERM are obeyed in the middle of a text, nothing is lost, and what goes on is printed.
#include <chrono>
#include <csignal>
#include <filesystem>
#include <thread>

#include "tests/support/program.hpp"

using namespace namm::test;

namespace {

using Clock = std::chrono::steady_clock;

}  // namespace

TEST_CASE("evolve stops within two seconds inside a generation, and goes on to the bytes of an undisturbed run") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  const auto words = [&](const std::string& name) -> std::vector<std::string> {
    return {"evolve", "--model",      host,  "--tasks",   "passkey", "--length",     "6000",       "--generations",
            "1",      "--population", "4",   "--prompts", "1",       "--validation", "1",          "--budget",
            "25%",    "--interval",   "512", "--seed",    "3",       "--output",     folder / name};
  };
  const auto began = Clock::now();
  REQUIRE(run_program(words("whole")).code == 0);
  const double whole = std::chrono::duration<double>(Clock::now() - began).count();
  Clock::time_point told;
  Surroundings stopping;
  stopping.meanwhile = [&](int process) {
    const std::filesystem::path checkpoint = std::filesystem::path(folder / "run") / "checkpoint.json";
    for (int i = 0; i < 60000 && !std::filesystem::exists(checkpoint); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    std::this_thread::sleep_for(std::chrono::milliseconds(300));  // in the first generation now
    told = Clock::now();
    ::kill(process, SIGTERM);
  };
  const Outcome stopped = run_program(words("run"), stopping);
  const double seconds = std::chrono::duration<double>(Clock::now() - told).count();
  CAPTURE(stopped.err, stopped.out, seconds, whole);
  CHECK(stopped.code == 1);
  CHECK(seconds < 2);
  CHECK_THAT(stopped.out,
             Contains("stopped after 0 generations") &&
                 Contains("the start is the policy until a validation finds a better one; the next is after generation 1\n") &&
                 Contains("\ngo on with: namm evolve --resume " + (folder / "run") + "\n"));
  REQUIRE(run_program({"evolve", "--resume", folder / "run"}).code == 0);
  for (const char* file : {"policy.json", "checkpoint.json", "log.jsonl"}) {
    CAPTURE(file);
    CHECK(read(folder / ("run/" + std::string(file))) == read(folder / ("whole/" + std::string(file))));
  }
}

TEST_CASE("eval prints the command that goes on") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  Surroundings stopping;
  stopping.meanwhile = [](int process) {
    std::this_thread::sleep_for(std::chrono::seconds(1));
    ::kill(process, SIGINT);
  };
  const std::vector<std::string> words = {
      "eval",     "--model", host,        "--policy", "h2o",    "--tasks",           "passkey",
      "--length", "30000",   "--samples", "1",        "--json", folder / "r 1.jsonl"};
  const Outcome outcome = run_program(words, stopping);
  CAPTURE(outcome.err);
  CHECK(outcome.code == 1);
  CHECK_THAT(outcome.err,
             Contains("go on with: namm eval --model " + host) && Contains("--json '" + (folder / "r 1.jsonl") + "' --resume"));
}

TEST_CASE("trace prints the command that goes on, however its file was given") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  for (const std::string& output : {"-o" + (folder / "a.trace"), "--output=" + (folder / "b.trace")}) {
    const std::string file = output.substr(output.find('/'));
    Surroundings stopping;
    stopping.meanwhile = [&](int process) {
      for (int i = 0; i < 30000 && !std::filesystem::exists(file); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(2));
      std::this_thread::sleep_for(std::chrono::seconds(1));  // behind the estimate
      ::kill(process, SIGINT);
    };
    const Outcome outcome =
        run_program({"trace", "--model", host, output, "--tasks", "passkey", "--length", "8000", "--workers", "1"}, stopping);
    CAPTURE(outcome.out, outcome.err);
    CHECK(outcome.code == 1);
    CHECK_THAT(outcome.out, Contains("go on with: namm trace --model " + host +
                                     " --tasks passkey --length 8000 --workers 1 --resume " + file + "\n"));
  }
}
