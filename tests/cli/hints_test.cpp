// What is allowed and probably not meant is said in one line; --quiet is silent.
#include <algorithm>

#include "tests/support/program.hpp"

using namespace namm::test;

namespace {

using Words = std::vector<std::string>;

Words with(Words words, const Words& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

/// Ends well, with one line that has all of `parts`; with --quiet nothing is said.
void check_hint(const Words& words, const Words& parts) {
  const Outcome outcome = run_program(words);
  CAPTURE(outcome.err);
  CHECK(outcome.code == 0);
  CHECK(std::count(outcome.err.begin(), outcome.err.end(), '\n') == 1);
  for (const std::string& part : parts) CHECK_THAT(outcome.err, Contains(part));
  Words quiet = words;
  quiet.insert(quiet.begin() + 1, "--quiet");
  CHECK(run_program(quiet).err.empty());
}

const Words kSmallTask = {"--tasks", "passkey", "--length", "64", "--interval", "32"};

}  // namespace

TEST_CASE("a budget of few tokens is probably a share without its percent sign") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  const Words parts = {"--budget 25: is 25 tokens per KV head", "25 % is written 25%"}, budget = {"--budget", "25"};
  check_hint(with({"run", "--model", host, "--policy", "h2o", "--max-tokens", "2", "--prompt", "a garden"}, budget), parts);
  check_hint(with(with({"eval", "--model", host, "--policy", "h2o", "--samples", "1"}, kSmallTask), {"--budget", "50%,25"}),
             parts);
  check_hint(with({"attach", "--print", "--policy", "h2o"}, {"--budget", "25", "--", "true"}), parts);
  const Words evolve = with(with({"evolve", "--model", host, "--generations", "0", "--validation", "1"}, kSmallTask), budget);
  CHECK_THAT(run_program(with(evolve, {"--output", folder / "loud"})).err, Contains(parts[0]) && Contains(parts[1]));
  CHECK(run_program(with(evolve, {"--output", folder / "quiet", "--quiet"})).err.empty());
  const Outcome calibrate = run_program(with({"calibrate", "--model", "unused.gguf", "--output", folder / "c"}, budget));
  CHECK_THAT(calibrate.err, Contains(parts[0]) && Contains(parts[1]));

  const Words enough = {"run", "--model", host, "--policy", "h2o", "--budget", "64", "--max-tokens", "2", "--prompt", "a garden"};
  CHECK(run_program(enough).err.empty());
}

TEST_CASE("the policy default is untuned for a model that it was not evolved on") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  std::string model = read(host);
  const std::string name = "jamba-recall";
  const std::size_t at = model.find(name);
  REQUIRE(at != std::string::npos);
  write(folder / "other.gguf", model.replace(at, name.size(), "other-recall"));
  const std::string other = folder / "other.gguf";
  const Words parts = {"policy default: is untuned for this model", "namm calibrate --model " + other + " --output DIR",
                       "about four minutes", "loses far less"};
  const Words run = {"run", "--max-tokens", "2", "--budget", "64", "--prompt", "a garden", "--model"};
  const Words eval = with({"eval", "--samples", "1", "--budget", "50%"}, with(kSmallTask, {"--model"}));
  check_hint(with(run, {other}), parts);
  check_hint(with(eval, {other}), parts);
  // `true` has no llama.cpp, which is an error behind the hint
  const auto attach = [&](const Words& flags, const std::string& file) {
    return run_program(with(with({"attach"}, flags), {"--", "true", "-m", file})).err;
  };
  for (const std::string& part : parts) CHECK_THAT(attach({}, other), Contains(part));
  CHECK_THAT(attach({"--quiet"}, other), !Contains("untuned"));
  CHECK(run_program(with(run, {host})).err.empty());
  CHECK(run_program(with(run, {other, "--policy", "h2o"})).err.empty());
  CHECK(run_program(with(eval, {host})).err.empty());
  CHECK_THAT(attach({}, host), Contains("no policy was attached") && !Contains("untuned"));
}

TEST_CASE("run says why a text below one update saves nothing") {
  NAMM_NEED_HOST(host);
  const auto out = [&](const std::string& text, const Words& more) {
    return run_program(with({"run", "--model", host, "--max-tokens", "2", "--prompt", text}, more)).out;
  };
  std::string sixty;
  for (int i = 0; i < 20; ++i) sixty += "the small garden ";
  CHECK_THAT(out("hello", {"--budget", "25%"}),
             Contains("nothing was dropped yet: ") && Contains("below one update of 512 tokens") && !Contains("physical saving"));
  CHECK_THAT(out(sixty, {"--budget", "25%"}),
             Contains("no memory was saved yet: ") && Contains("outweigh what was dropped") && !Contains("physical saving"));
  CHECK_THAT(out(sixty, {"--budget", "25%", "--interval", "32"}), Contains("physical saving"));
  CHECK_THAT(out("hello", {}), Contains("physical saving"));  // everything is to be kept
}
