#include "tests/support/program.hpp"

using namespace namm::test;

TEST_CASE("budgets that cannot be are refused with the value and what there is") {
  for (const char* budget : {"0", "0%", "-5", "-5%", "100.5%", "150%", "1.5", "0.0", "nan", "inf", "25%%", "MiB", "0MiB", "-1MiB",
                             "12345678901234567890", "half"}) {
    CAPTURE(budget);
    check_refused(run_program({"run", "--model", "unused.gguf", "--policy", "h2o", "--budget", budget, "--prompt", "x"}), 2,
                  {"budget", budget});
    check_refused(run_program({"eval", "--model", "unused.gguf", "--policy", "h2o", "--budget", std::string("25%,") + budget}), 2,
                  {"budget", budget});
    check_refused(run_program({"evolve", "--model", "unused.gguf", "--budget", budget, "--output", "/nowhere/run"}), 2,
                  {"budget", budget});
  }
}

TEST_CASE("a budget below the protected tokens is refused") {
  check_refused(run_program({"run", "--model", "unused.gguf", "--policy", "h2o", "--budget", "10", "--prompt", "x"}), 2,
                {"budget", "20 protected tokens", "10", "--protect-recent"});
  check_refused(run_program({"run", "--model", "unused.gguf", "--policy", "h2o", "--budget", "30", "--protect-sinks", "20",
                             "--prompt", "x"}),
                2, {"budget", "36 protected tokens", "30"});
  check_refused(run_program({"eval", "--model", "unused.gguf", "--policy", "h2o", "--budget", "19"}), 2,
                {"budget", "protected", "19"});
}

TEST_CASE("a policy that drops needs a budget, a list of runs needs --compare") {
  check_refused(run_program({"run", "--model", "unused.gguf", "--policy", "h2o", "--prompt", "x"}), 2,
                {"--budget", "h2o", "25%"});
  check_refused(run_program({"run", "--model", "unused.gguf", "--policy", "h2o,tova", "--budget", "25%", "--prompt", "x"}), 2,
                {"--policy", "2", "--compare"});
  check_refused(run_program({"run", "--model", "unused.gguf", "--policy", "h2o,,tova", "--budget", "25%", "--prompt", "x"}), 2,
                {"--policy", "h2o,,tova"});
}

TEST_CASE("run: a budget and the like need a policy that drops") {
  const auto run = [](std::vector<std::string> more) {
    more.insert(more.begin(), {"run", "--model", "unused.gguf", "--prompt", "x"});
    return run_program(more);
  };
  check_refused(run({"--policy", "full", "--budget", "25%"}), 2, {"--budget", "full", "drops"});
  check_refused(run({"--policy", "full", "--interval", "64"}), 2, {"--interval", "full"});
  check_refused(run({"--policy", "full", "--protect-recent", "8", "--compare"}), 2, {"--protect-recent", "full"});
  // the next thing that is wrong
  check_refused(run({"--policy", "full,h2o", "--budget", "25%", "--compare"}), 1, {"unused.gguf"});
  check_refused(run({"--budget", "25%"}), 1, {"unused.gguf"});
  check_refused(run({}), 1, {"unused.gguf"});
}

TEST_CASE("eval: what is named twice is refused, however it is written") {
  const auto eval = [](std::vector<std::string> more) {
    more.insert(more.begin(), {"eval", "--model", "unused.gguf"});
    return run_program(more);
  };
  check_refused(eval({"--policy", "h2o,tova,h2o"}), 2, {"--policy", "h2o at 25%", "twice"});
  check_refused(eval({"--policy", "h2o", "--budget", "25%,0.25"}), 2, {"--budget", "h2o at 25%", "twice"});
  check_refused(eval({"--policy", "h2o", "--mode", "pooled,pooled"}), 2, {"--mode", "pooled", "twice"});
}

TEST_CASE("settings that cannot be are refused") {
  const std::vector<std::string> start = {"eval", "--model", "unused.gguf", "--policy", "h2o"};
  const auto with = [&](const std::string& option, const std::string& value) {
    std::vector<std::string> words = start;
    words.push_back(option);
    words.push_back(value);
    return run_program(words);
  };
  check_refused(with("--interval", "0"), 2, {"--interval", "is 0"});
  check_refused(with("--protect-recent", "-1"), 2, {"--protect-recent"});
  check_refused(with("--length", "7"), 2, {"--length", "\"7\""});
  check_refused(with("--length", "many"), 2, {"--length", "many"});
  check_refused(with("--length", "16777217"), 2, {"--length", "from 32 to 16777216", "\"16777217\""});
  check_refused(with("--protect-sinks", "2147483647"), 2, {"--protect-sinks", "at most 1048576"});
  check_refused(with("--interval", "2147483647"), 2, {"--interval", "at most 16777216"});
  check_refused(with("--samples", "0"), 2, {"--samples", "is 0"});
  check_refused(with("--split", "exam"), 2, {"exam", "test"});
  check_refused(with("--haystack", "/no/such/text"), 2, {"/no/such/text"});
}

TEST_CASE("an empty budget is called one, and no list of names") {
  for (const char* command : {"eval", "run"}) {
    const Outcome empty = run_program({command, "--model", "unused.gguf", "--policy", "h2o", "-b", ""});
    CHECK(empty.code == 2);
    CHECK_THAT(empty.err, Contains("budget: must ") && !Contains("names"));
  }
  check_refused(run_program({"eval", "--model", "unused.gguf", "--policy", "h2o", "-b", "25%,"}), 2,
                {"--budget", "remove the empty part"});
}

TEST_CASE("workers and threads have a limit, which is said") {
  for (const auto& [option, most] : {std::pair("--workers", "1024"), std::pair("--threads", "512")})
    check_refused(run_program({"eval", "--model", "unused.gguf", "--policy", "h2o", option, "100000"}), 2,
                  {option, "must be at most " + std::string(most), "100000"});
}
