#include <signal.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "core/policy_file.hpp"
#include "tests/support/program.hpp"

using namespace namm::test;
using nlohmann::json;

namespace {

/// A tuning of the smallest size, begun but for its steps: what --resume goes on with.
void begin_small(const std::string& host, const std::string& folder, int seeds) {
  std::filesystem::create_directories(folder);
  write(folder + "/run.json", json({{"model", host}, {"budget", "25%"}, {"workers", 1}, {"seed", 1}}).dump());
  write(folder + "/tune.json", json({{"done", json::array()},
                                     {"sizes", {{"texts", 4}, {"seeds", seeds}, {"generations", 2}, {"validation", 1}, {"test", 1}}}})
                                   .dump());
}

}  // namespace

TEST_CASE("tune makes a policy, says what it costs, and keeps it for the model") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  Surroundings kept;
  kept.data = folder / "data";
  begin_small(host, folder / "tuned", 2);
  const Outcome outcome = run_program({"tune", "--resume", folder / "tuned"}, kept);
  CAPTURE(outcome.err, outcome.out);
  REQUIRE(outcome.code == 0);
  const namm::PolicyFile file = namm::load_policy_file(folder / "tuned/policy.json");
  CHECK(file.policy->name() == "key-probe");
  CHECK(file.policy->to_json().at("recency") == 1);
  CHECK(file.selection.mode == namm::SelectionMode::pooled);
  CHECK(file.provenance["tuned"]["budget"] == "25%");
  const std::string chosen = file.provenance["tuned"]["chosen"];
  const std::string source = chosen == "calibrated" ? "tuned/calibrated" : "tuned/averaged.json";
  CHECK(file.policy->to_json() == namm::load_policy_file(folder / source).policy->to_json());

  // what is reported was measured on other prompts than what was chosen on
  const auto validation = parse_lines(read(folder / "tuned/validation.jsonl")), test = parse_lines(read(folder / "tuned/results.jsonl"));
  CHECK(validation.front()["settings"]["split"] == "validation");
  CHECK(test.front()["settings"]["split"] == "test");
  CHECK(test.front()["seed"] != validation.front()["seed"]);
  for (const json& r : test)
    if (r["policy"] == folder / "tuned/policy.json") CHECK(r["logical_saving"].get<double>() > 0.5);
  CHECK(std::filesystem::exists(folder / "tuned/report.html"));
  CHECK_THAT(run_program({"policies"}, kept).out, Contains("tuned-25%"));

  // all is done: nothing is done again
  const auto before = std::filesystem::last_write_time(folder / "tuned/report.html");
  CHECK(run_program({"tune", "--resume", folder / "tuned"}, kept).code == 0);
  CHECK(std::filesystem::last_write_time(folder / "tuned/report.html") == before);
}

TEST_CASE("the policy with offsets is chosen only where it validates better, and on no kind much worse") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  begin_small(host, folder / "tuned", 2);
  REQUIRE(run_program({"tune", "--resume", folder / "tuned", "--quiet"}).code == 0);
  const auto choose_again = [&](double change, double one_table) {
    std::string lines;
    bool first = true;
    for (json r : parse_lines(read(folder / "tuned/validation.jsonl"))) {
      const bool averaged = r["policy"] == folder / "tuned/averaged.json";
      r["answer_log_likelihood_delta"] = -0.2 + (averaged ? change : 0.0);
      r["answer_nll_change"] = -r["answer_log_likelihood_delta"].get<double>();
      if (averaged && first) r["answer_log_likelihood_delta"] = -0.2 + one_table, first = false;
      lines += r.dump() + "\n";
    }
    write(folder / "tuned/validation.jsonl", lines);
    json state = json::parse(read(folder / "tuned/tune.json"));
    auto& done = state["done"];
    done.erase(std::remove(done.begin(), done.end(), "choose"), done.end());
    write(folder / "tuned/tune.json", state.dump());
    const Outcome again = run_program({"tune", "--resume", folder / "tuned", "--quiet"});
    CAPTURE(again.err);
    REQUIRE(again.code == 0);
    return namm::load_policy_file(folder / "tuned/policy.json").provenance["tuned"]["chosen"].get<std::string>();
  };
  CHECK(choose_again(0.05, 0.05) == "evolved on top");
  CHECK(choose_again(-0.05, -0.05) == "calibrated");
  CHECK(choose_again(0.05, -0.11) == "calibrated");  // better in the mean, too much worse on one kind
}

TEST_CASE("a tuning that was stopped goes on, and ends as one that was not") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  begin_small(host, folder / "whole", 2);
  begin_small(host, folder / "stopped", 2);
  REQUIRE(run_program({"tune", "--resume", folder / "whole", "--quiet"}).code == 0);
  Outcome outcome;
  int calls = 0;
  do {
    Surroundings stopping;
    stopping.meanwhile = [&](int process) {
      std::this_thread::sleep_for(std::chrono::milliseconds(300 * (calls + 1)));
      ::kill(process, SIGINT);
    };
    outcome = run_program({"tune", "--resume", folder / "stopped", "--quiet"}, stopping);
    CAPTURE(outcome.out, outcome.err);
    if (outcome.code != 0 && !outcome.out.empty()) CHECK_THAT(outcome.out, Contains("go on with: namm tune --resume"));
  } while (outcome.code != 0 && ++calls < 40);
  REQUIRE(outcome.code == 0);
  const auto policy = [&](const char* name) { return namm::load_policy_file(folder / name + "/policy.json").policy->to_json(); };
  CHECK(policy("stopped") == policy("whole"));
}

TEST_CASE("tune refuses what it could not go on with") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  check_refused(run_program({"tune", "--model", host}), 2, {"--output", "--resume"});
  check_refused(run_program({"tune", "--resume", folder / "none", "--model", host}), 1, {"no tuning to go on with", "--output"});
  check_refused(run_program({"tune", "--model", host, "--output", folder / "t", "--budget", "none"}), 2, {"--budget", "25%"});
  write(folder / "other.txt", "x");
  check_refused(run_program({"tune", "--model", host, "--output", folder.path().string()}), 1, {"new or empty"});
  begin_small(host, folder / "t", 0);
  check_refused(run_program({"tune", "--model", host, "--output", folder / "t"}), 1, {"--resume"});
  write(folder / "t/tune.json", "{\"done\": [");
  check_refused(run_program({"tune", "--resume", folder / "t"}), 1, {"tune.json", "damaged"});
}
