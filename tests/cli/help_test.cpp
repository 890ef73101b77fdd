#include "tests/support/program.hpp"

using namespace namm::test;

TEST_CASE("every command prints its help with defaults on stdout") {
  for (const char* command :
       {"evolve", "calibrate", "average", "trace", "eval", "run", "attach", "bench", "report", "inspect", "prompts"})
    for (const char* flag : {"--help", "-h"}) {
      CAPTURE(command, flag);
      const Outcome outcome = run_program({command, flag});
      CHECK(outcome.code == 0);
      CHECK(outcome.err.empty());
      CHECK(outcome.out.rfind(std::string("Usage: namm ") + command, 0) == 0);
      CHECK(outcome.out.find("--quiet") != std::string::npos);
    }
}

TEST_CASE("the program names its commands and its version") {
  const Outcome help = run_program({"--help"});
  CHECK(help.code == 0);
  CHECK(help.err.empty());
  for (const char* command : {"evolve", "calibrate", "average", "trace", "eval", "run", "attach", "bench", "report", "inspect",
                              "prompts", "Exit codes"})
    CHECK(help.out.find(command) != std::string::npos);
  const Outcome version = run_program({"--version"});
  CHECK(version.code == 0);
  CHECK(version.out.rfind("namm ", 0) == 0);
  CHECK(version.out.find("llama.cpp") != std::string::npos);
  CHECK(run_program({}).code == 2);
}

TEST_CASE("unknown commands and options are refused with the nearest name") {
  check_refused(run_program({"evl"}), 2, {"command", "\"evl\"", "eval"});
  check_refused(run_program({"run", "--treads", "2"}), 2, {"--treads", "'namm run --help'", "nearest: --threads"});
  check_refused(run_program({"eval", "--polcy", "x"}), 2, {"--polcy", "'namm eval --help'", "nearest: --policy"});
  check_refused(run_program({"report", "--fromat", "text", "x"}), 2, {"--fromat", "--format"});
}

TEST_CASE("what is missing or of the wrong kind is named") {
  check_refused(run_program({"run"}), 2, {"--model", "must be given"});
  check_refused(run_program({"eval"}), 2, {"--model", "must be given"});
  check_refused(run_program({"inspect"}), 2, {"files", "must be given"});
  check_refused(run_program({"run", "--model", "x", "--threads", "zero", "--prompt", "x"}), 2, {"--threads", "zero"});
  check_refused(run_program({"run", "--model", "x", "--threads", "0", "--prompt", "x"}), 2, {"--threads", "is 0"});
  check_refused(run_program({"run", "--model", "x", "--max-tokens", "0", "--prompt", "x"}), 2, {"--max-tokens", "is 0"});
  check_refused(run_program({"run", "--model", "x", "--max-tokens", "2147483647", "--prompt", "x"}), 2,
                {"--max-tokens", "at most 16777216"});
  check_refused(run_program({"run", "--model", "x", "a word"}), 2, {"a word", "usage"});
  check_refused(run_program({"report", "--format", "pdf", "x"}), 2, {"--format", "pdf", "markdown"});
}
