#include <nlohmann/json.hpp>

#include "core/policy_file.hpp"
#include "tests/support/program.hpp"

using namespace namm::test;
using nlohmann::json;

namespace {

/// A data folder in which the embedded host has a calibrated policy.
Surroundings with_calibrated(const std::string& host, const Folder& folder) {
  Surroundings out;
  out.data = folder / "data";
  const Outcome made = run_program({"calibrate", "--model", host, "--output", folder / "probe", "--texts", "4", "--length", "256",
                                    "--input", "key", "--quiet"},
                                   out);
  CAPTURE(made.err);
  REQUIRE(made.code == 0);
  CHECK_THAT(made.out, Contains("kept as this model's own"));
  return out;
}

/// The policy that eval measured beside the full cache, and its fingerprint.
std::pair<std::string, std::string> measured(const std::vector<std::string>& more, const std::string& host,
                                             const Surroundings& surroundings) {
  const Folder folder;
  std::vector<std::string> words = {"eval",      "--model", host,     "--tasks",          "passkey",    "--length", "128",
                                    "--samples", "1",       "--json", folder / "r.jsonl", "--interval", "64"};
  words.insert(words.end(), more.begin(), more.end());
  const Outcome outcome = run_program(words, surroundings);
  CAPTURE(outcome.err);
  REQUIRE(outcome.code == 0);
  const auto records = parse_lines(read(folder / "r.jsonl"));
  REQUIRE(records.size() == 2);
  return {records[1]["policy"], records[1]["memory"]};
}

}  // namespace

TEST_CASE("what calibrate makes is used for the model when no policy is named, whatever the file is called") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  CHECK(measured({}, host, {}).first == "default");
  const Surroundings kept = with_calibrated(host, folder);
  const std::string renamed = folder / "renamed.gguf";
  std::filesystem::copy_file(host, renamed);
  const auto by_file = measured({"--policy", folder / "probe/policy.json"}, host, kept);
  const auto own = measured({}, renamed, kept);
  CHECK(own.first == "own");
  CHECK(own.second == by_file.second);
  CHECK(measured({"--policy", "own"}, renamed, kept) == own);
  CHECK(measured({"--policy", "h2o"}, renamed, kept).first == "h2o");

  const Outcome run = run_program({"run", "--model", renamed, "--prompt", "one two three", "--max-tokens", "2"}, kept);
  CHECK(run.code == 0);
  CHECK_THAT(run.err, Contains("this model's own is used"));
  CHECK_THAT(run.out, Contains("own, budget 25%"));
}

TEST_CASE("a policy that was tuned for the budget goes before the calibrated one") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  const Surroundings kept = with_calibrated(host, folder);
  write_policy(folder / "linear.json");
  REQUIRE(run_program({"policies", "add", "--model", host, "--file", folder / "linear.json", "--name", "tuned-50%"}, kept).code ==
          0);
  const auto linear = measured({"--policy", folder / "linear.json", "--budget", "50%"}, host, kept);
  const auto calibrated = measured({"--policy", folder / "probe/policy.json"}, host, kept);
  CHECK(measured({"--budget", "50%"}, host, kept).second == linear.second);
  CHECK(measured({"--budget", "25%"}, host, kept).second == calibrated.second);
}

TEST_CASE("policies lists, exports and removes what is kept") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  const Surroundings kept = with_calibrated(host, folder);
  const Outcome listed = run_program({"policies"}, kept);
  CHECK(listed.code == 0);
  CHECK_THAT(listed.out, Contains("jamba-recall") && Contains("calibrated") && Contains("25%"));
  CHECK(run_program({"policies", "show", "--model", host}, kept).code == 0);
  REQUIRE(run_program({"policies", "export", "--model", host, "--output", folder / "own.json"}, kept).code == 0);
  CHECK(namm::load_policy_file(folder / "own.json").policy->name() == "key-probe");
  check_refused(run_program({"policies", "export", "--model", host, "--output", folder / "own.json"}, kept), 1,
                {"must not exist"});
  check_refused(run_program({"policies", "remove", "--model", host, "--name", "tuned-25%"}, kept), 2,
                {"calibrated", "tuned-25%"});
  REQUIRE(run_program({"policies", "remove", "--model", host}, kept).code == 0);
  CHECK_THAT(run_program({"policies"}, kept).out, Contains("no policies are kept"));
  check_refused(run_program({"policies", "show", "--model", host}, kept), 1, {"nothing is kept"});
  check_refused(run_program({"policies", "show"}, kept), 2, {"--model", "--key"});
  check_refused(run_program({"policies", "forget"}, kept), 2, {"list, show, export, add or remove", "forget"});
}

TEST_CASE("a policy file is exported in the form that the name says, and back") {
  const Folder folder;
  write_policy(folder / "linear.json");
  REQUIRE(run_program({"policies", "export", "--file", folder / "linear.json", "--output", folder / "linear.safetensors"}).code ==
          0);
  CHECK_THAT(read(folder / "linear.safetensors"), Contains("__metadata__") && Contains("policy.weights"));
  REQUIRE(run_program({"policies", "export", "--file", folder / "linear.safetensors", "--output", folder / "back.json"}).code ==
          0);
  CHECK(read(folder / "back.json") == read(folder / "linear.json"));
  const Outcome text = run_program({"inspect", folder / "linear.json"});
  Outcome binary = run_program({"inspect", folder / "linear.safetensors"});
  REQUIRE(binary.code == 0);
  binary.out.replace(binary.out.find("linear.safetensors"), 18, "linear.json");
  CHECK(binary.out == text.out);
  check_refused(run_program({"policies", "export", "--file", folder / "linear.json", "--key", "0123456789abcdef", "--output",
                             folder / "new.json"}),
                2, {"--file", "without"});
  write(folder / "weights.safetensors", std::string("\x02\0\0\0\0\0\0\0{}", 10));
  check_refused(run_program({"inspect", folder / "weights.safetensors"}), 1,
                {"weights.safetensors", "is it the weights of a model?"});
}

TEST_CASE("own is refused for a model without one, with the way to make it") {
  NAMM_NEED_HOST(host);
  check_refused(run_program({"eval", "--model", host, "--policy", "own", "--tasks", "passkey"}), 1, {"own", "namm calibrate"});
  check_refused(run_program({"run", "--model", host, "--policy", "own", "--prompt", "x"}), 1, {"own", "namm calibrate"});
  check_refused(run_program({"attach", "--policy", "own", "--print", "--", "llama-server", "-m", host}), 1,
                {"own", "namm calibrate"});
}

TEST_CASE("calibrate --no-keep keeps nothing") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  Surroundings kept;
  kept.data = folder / "data";
  REQUIRE(run_program({"calibrate", "--model", host, "--output", folder / "probe", "--texts", "2", "--length", "128", "--input",
                       "key", "--no-keep", "--quiet"},
                      kept)
              .code == 0);
  CHECK_THAT(run_program({"policies"}, kept).out, Contains("no policies are kept"));
}
