// Policies and tasks as people call them, and the folder of a run in place of its policy file.
#include <set>

#include <nlohmann/json.hpp>

#include "tests/support/program.hpp"

using namespace namm::test;
using nlohmann::json;

namespace {

std::vector<std::string> small_eval(const std::string& host, const std::string& policies, const std::string& results) {
  return {"eval", "--model", host,      "--policy",   policies, "--budget",  "50%", "--tasks", "passkey", "--length",
          "64",   "--mode",  "uniform", "--interval", "32",     "--samples", "1",   "--quiet", "--json",  results};
}

std::set<std::string> policies_in(const std::string& results) {
  std::set<std::string> out;
  for (const json& record : parse_lines(read(results))) out.insert(record["policy"].get<std::string>());
  return out;
}

}  // namespace

TEST_CASE("policies have their published names, too, and records have ours") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  const Outcome outcome =
      run_program(small_eval(host, "SnapKV,H2O,StreamingLLM,TOVA,h2o_mean,KVzip,expected_attention,DEFAULT", folder / "r.jsonl"));
  CAPTURE(outcome.err);
  REQUIRE(outcome.code == 0);
  CHECK(policies_in(folder / "r.jsonl") == std::set<std::string>{"full", "snapkv", "h2o", "streaming", "tova", "h2o-mean",
                                                                 "kvzip", "expected-attention", "default"});
  check_refused(run_program(small_eval(host, "ExpectedAttention,expected-attention", folder / "r.jsonl")), 2,
                {"expected-attention", "twice"});
  check_refused(run_program(small_eval(host, "SnapKV,snapkv", folder / "r.jsonl")), 2, {"snapkv", "twice"});

  const Outcome run = run_program({"run", "--model", host, "--policy", "StreamingLLM", "--budget", "50%", "--max-tokens", "2",
                                   "--quiet", "--prompt", "a small garden", "--json", folder / "run.json"});
  CAPTURE(run.err);
  REQUIRE(run.code == 0);
  CHECK(parse_lines(read(folder / "run.json")).at(0)["policy"] == "streaming");
  CHECK_THAT(run_program({"inspect", "SnapKV"}).out, Contains("snapkv"));
}

TEST_CASE("evolution begins with a policy in any spelling") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  const auto begun_with = [&](const std::string& policy, const std::string& name) {
    const Outcome outcome = run_program({"evolve", "--model", host, "--policy", policy, "--tasks", "passkey", "--length", "64",
                                         "--generations", "0", "--validation", "1", "--output", folder / name, "--quiet"});
    CAPTURE(outcome.err);
    REQUIRE(outcome.code == 0);
    return json::parse(read(folder / name + "/policy.json"));
  };
  CHECK(begun_with("NAMM-MLP", "mlp")["kind"] == "namm-mlp");
  CHECK(begun_with("Default", "default")["policy"]["weights"].size() == 9);
}

TEST_CASE("the folder of a run stands for its policy") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  std::filesystem::create_directories(folder / "run1");
  const auto attach = [&] { return run_program({"attach", "--print", "--policy", folder / "run1", "--", "true"}); };
  check_refused(run_program(small_eval(host, folder / "run1", folder / "r.jsonl")), 1, {"run1", "is a folder"});
  check_refused(attach(), 1, {"run1", "is a folder"});
  write_policy(folder / "run1/policy.json");
  CHECK(attach().code == 0);
  const Outcome outcome = run_program(small_eval(host, folder / "run1", folder / "r.jsonl"));
  CAPTURE(outcome.err);
  REQUIRE(outcome.code == 0);
  CHECK(policies_in(folder / "r.jsonl") == std::set<std::string>{"full", folder / "run1/policy.json"});
  CHECK(run_program({"run", "--model", host, "--policy", folder / "run1", "--max-tokens", "2", "--prompt", "a garden"}).code ==
        0);
  CHECK(run_program({"average", folder / "run1", folder / "run1", "--output", folder / "mean.json"}).code == 0);
}

TEST_CASE("tasks as people call them are refused with ours") {
  check_refused(run_program({"prompts", "--task", "needle"}), 2, {"'needle'", "niah-single", "passkey"});
  check_refused(run_program({"eval", "--model", "unused.gguf", "--policy", "h2o", "--tasks", "NIAH"}), 2,
                {"'NIAH'", "niah-single", "niah-multikey-1"});
}
