// What is not finite is an error where it is met first, never a result.
#include <algorithm>

#include "tests/support/program.hpp"

using namespace namm::test;

namespace {

/// The host with a piece of its weights overwritten by bytes that are NaN in every type of float.
std::string broken_model(const Folder& folder, const std::string& host) {
  std::string content = read(host);
  std::fill_n(content.end() - 60'000, 20'000, '\xff');
  write(folder / "broken.gguf", content);
  return folder / "broken.gguf";
}

}  // namespace

TEST_CASE("run, eval and evolve end with an error where a model gives NaN, and write nothing") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  const std::string model = broken_model(folder, host);
  const std::vector<std::string> parts = {"broken.gguf", "must give finite numbers", "NaN"};
  const std::vector<std::string> small = {"--tasks", "passkey", "--length", "64", "--interval", "32"};
  const auto with = [&](std::vector<std::string> words) {
    words.insert(words.end(), small.begin(), small.end());
    return words;
  };
  check_refused(run_program({"run", "--model", model, "--max-tokens", "4", "--prompt", "hello"}), 1, parts);
  check_refused(
      run_program(with({"eval", "--model", model, "--policy", "h2o", "--samples", "1", "--quiet", "--json", folder / "r.jsonl"})),
      1, parts);
  check_refused(
      run_program(with({"evolve", "--model", model, "--generations", "1", "--validation", "8", "--output", folder / "run"})), 1,
      parts);
  CHECK((folder.names() == std::vector<std::string>{"broken.gguf"} || read(folder / "r.jsonl").empty()));
  CHECK_FALSE(std::filesystem::exists(folder / "run/policy.json"));
}

TEST_CASE("evolve with steps that no number holds ends with an error and keeps what was there before") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  const Outcome outcome =
      run_program({"evolve", "--model",       host,    "--tasks",      "passkey",  "--length",    "64", "--interval",
                   "32",     "--generations", "2",     "--population", "4",        "--prompts",   "1",  "--validation",
                   "8",      "--step-size",   "1e300", "--quiet",      "--output", folder / "run"});
  check_refused(outcome, 1, {"generation 1", "candidates must have a finite value", "--step-size"});
  CHECK(std::filesystem::exists(folder / "run/checkpoint.json"));
}
