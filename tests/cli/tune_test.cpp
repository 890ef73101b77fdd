#include <signal.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>

#include "core/policies/key_probe.hpp"
#include "core/policy_file.hpp"
#include "tests/support/program.hpp"
#include "tests/support/sanitizers.hpp"

using namespace namm::test;
using nlohmann::json;

namespace {

/// A tuning of the smallest size, begun but for its steps: what --resume goes on with.
void begin_small(const std::string& host, const std::string& folder, const json& more = json::object()) {
  std::filesystem::create_directories(folder);
  const json sizes = {{"texts", 4}, {"seeds", 2},      {"generations", 2},        {"validation", 1},
                      {"test", 1},  {"population", 4}, {"evolve_lengths", "192"}, {"lengths", "400"}};
  json options = {{"model", host}, {"budget", "25%"}, {"workers", 1}, {"seed", 3}};
  options.update(more);
  write(folder + "/run.json", options.dump());
  write(folder + "/tune.json", json({{"done", json::array()}, {"sizes", sizes}}).dump());
}

json policy_in(const std::string& file) {
  return namm::load_policy_file(file).policy->to_json();
}

/// Chooses again, after the validation has come out so: in nat per token, all tables but one, and that one.
std::string choose_again(const Folder& folder, double change, double one_table) {
  std::string lines;
  bool first = true;
  for (json r : parse_lines(read(folder / "tuned/validation.jsonl"))) {
    const bool averaged = r["policy"] == folder / "tuned/averaged.json";
    r["answer_log_likelihood_delta"] = -0.2 + (!averaged ? 0.0 : first ? one_table : change);
    if (averaged) first = false;
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
  return namm::load_policy_file(folder / "tuned/policy.json").provenance["tuned"]["chosen"];
}

}  // namespace

TEST_CASE("tune makes a policy, says what it costs, and keeps it for the model; stopped and resumed it makes the same one") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  Surroundings kept;
  kept.data = folder / "data";
  begin_small(host, folder / "tuned");
  const Outcome outcome = run_program({"tune", "--resume", folder / "tuned"}, kept);
  CAPTURE(outcome.err, outcome.out);
  REQUIRE(outcome.code == 0);
  const namm::PolicyFile file = namm::load_policy_file(folder / "tuned/policy.json");
  CHECK(file.policy->name() == "key-probe");
  CHECK(file.policy->to_json().at("recency") == 2);
  CHECK(file.selection.mode == namm::SelectionMode::pooled);
  CHECK(file.provenance["tuned"]["budget"] == "25%");

  // what is reported was measured on other prompts than what was chosen on
  const auto validation = parse_lines(read(folder / "tuned/validation.jsonl"));
  const auto test = parse_lines(read(folder / "tuned/results.jsonl"));
  CHECK(validation.front()["settings"]["split"] == "validation");
  CHECK(test.front()["settings"]["split"] == "test");
  CHECK(test.front()["seed"] != validation.front()["seed"]);
  std::size_t measured = 0;
  for (const json& r : test)
    if (r["policy"] == folder / "tuned/policy.json") {
      ++measured;
      CHECK(r["logical_saving"].get<double>() > 0.3);
    }
  CHECK(measured == 6);
  CHECK(std::filesystem::exists(folder / "tuned/report.html"));
  CHECK_THAT(run_program({"policies"}, kept).out, Contains("tuned-25%"));
  // what is in the folder, and the folder
  const auto kind = [&](const std::string& name) {
    const Outcome inspected = run_program({"inspect", folder / name});
    CAPTURE(inspected.err);
    CHECK(inspected.code == 0);
    return inspected.out;
  };
  CHECK_THAT(kind("tuned"), Contains("kind") && Contains("tuning") && Contains("key-probe") && Contains("validate"));
  CHECK_THAT(kind("tuned/tune.json"), Contains("state of a tuning"));
  CHECK_THAT(kind("tuned/run.json"), Contains("what a command was called with"));
  CHECK_THAT(kind("tuned/calibrated"), Contains("kind") && Contains("policy") && Contains("key-probe"));
  CHECK_THAT(kind("tuned/calibrated/calibration.json"), Contains("summary of a calibration") && Contains("explained"));

  // all is done: nothing is done again
  const auto before = std::filesystem::last_write_time(folder / "tuned/report.html");
  CHECK(run_program({"tune", "--resume", folder / "tuned"}, kept).code == 0);
  CHECK(std::filesystem::last_write_time(folder / "tuned/report.html") == before);

#ifndef NAMM_ASAN  // ten times slower there, and nothing new
  // another, which is stopped again and again
  begin_small(host, folder / "stopped");
  Outcome stopped;
  int calls = 0, stops = 0;
  do {
    Surroundings stopping;
    stopping.meanwhile = [&](int process) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1500 + 1500 * calls));
      ::kill(process, SIGINT);
    };
    stopped = run_program({"tune", "--resume", folder / "stopped", "--quiet"}, stopping);
    if (stopped.code == 1) {  // wherever it was: before anything is there to keep, too
      CAPTURE(stopped.err);
      CHECK_THAT(stopped.out, Contains("go on with: namm tune --resume"));
      const std::string both = stopped.out + stopped.err;
      CHECK(both.find("go on with", both.find("go on with") + 1) == std::string::npos);  // nor the step's own
      ++stops;
    }
  } while (stopped.code != 0 && ++calls < 40);
  REQUIRE(stopped.code == 0);
  CHECK(stops > 0);
  CHECK(policy_in(folder / "stopped/averaged.json") == policy_in(folder / "tuned/averaged.json"));
  CHECK(policy_in(folder / "stopped/policy.json") == policy_in(folder / "tuned/policy.json"));
#endif

  // the offsets stay only where they validate better, and on no kind much worse
  CHECK(choose_again(folder, 0.05, 0.05) == "evolved on top");
  CHECK(policy_in(folder / "tuned/policy.json") == policy_in(folder / "tuned/averaged.json"));
  CHECK(choose_again(folder, -0.05, -0.05) == "calibrated");
  CHECK(policy_in(folder / "tuned/policy.json") == policy_in(folder / "tuned/calibrated"));
  CHECK(choose_again(folder, 0.05, -0.11) == "calibrated");  // better in the mean, too much worse on one kind
}

TEST_CASE("tune divides a budget in bytes between tokens and bits, and run uses what it chose") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  Surroundings kept;
  kept.data = folder / "data";
  begin_small(host, folder / "tuned", {{"budget", "12.5%bytes"}});
  const Outcome outcome = run_program({"tune", "--resume", folder / "tuned"}, kept);
  CAPTURE(outcome.err, outcome.out);
  REQUIRE(outcome.code == 0);
  const namm::PolicyFile file = namm::load_policy_file(folder / "tuned/policy.json");
  const json tuned = file.provenance["tuned"];
  const json stores = tuned["stores"];
  REQUIRE(stores.size() == 8);  // six, those with means also without recency
  std::string way = "f16";
  for (const auto& [name, nat] : stores.items())
    if (nat > stores[way]) way = name;
  const std::string without = " without recency", best = way.substr(0, way.find(without));
  CHECK(to_string(file.store) == best);
  CHECK(tuned["store"] == best);
  CHECK(file.policy->to_json().at("recency") == (way == best ? 2 : 0));
  CHECK_THAT(outcome.out, Contains(way + " within 12.5%bytes") && Contains("keys and values held as " + best));
  // each was measured with the entries that its bytes afford
  std::map<std::string, double> entries;
  for (const auto& [name, nat] : stores.items()) {
    const std::string store = name.substr(0, name.find(without));
    if (store != name) continue;
    for (const json& r : parse_lines(read(folder / ("tuned/split-" + store + ".jsonl"))))
      if (r["policy"] == folder / "tuned/calibrated/policy.json") {
        CHECK(r["settings"]["split"] == "validation");
        CHECK(r["settings"]["store"] == store);
        entries[store] += r["entries_final"].get<double>();
      }
  }
  CHECK(entries["f16"] < 0.7 * entries["q8_0"]);  // 68 of 128 bytes; questions and answers come on top, for all alike
  CHECK(entries["q8_0"] < 0.9 * entries["q8_0,q4_0"]);
  CHECK(entries["q8_0,q4_0"] < 0.9 * entries["q4_0"]);
  // what is reported is held so, for all policies alike; what is evolved has as many entries
  for (const json& r : parse_lines(read(folder / "tuned/results.jsonl"))) CHECK(r["settings"]["store"] == best);
  const json evolved = json::parse(read(folder / "tuned/offsets-1/run.json"));
  const std::string share = evolved["budget"];
  namm::Budget evolved_at = namm::parse_budget(share);  // 64 numbers of 16 bits take 128 bytes
  const std::map<std::string, double> bytes = {
      {"f16", 128}, {"q8_0", 68}, {"q8_0+4means", 68}, {"q8_0,q4_0", 52}, {"q8_0,q4_0+4means", 52}, {"q4_0", 36}};
  CHECK(evolved_at.value == Approx(0.125 * 128 / bytes.at(best)));

  // the model's own policy brings its store; --store says otherwise
  std::string text;
  for (int i = 0; i < 200; ++i) text += "The grass is green, the sky is " + std::to_string(i) + ". ";
  const auto held = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"run", "--model", host, "--max-tokens", "2", "--prompt", text, "--budget", "12.5%bytes", "--json",
                               folder / "run.json"});
    const Outcome run = run_program(more, kept);
    CAPTURE(run.err);
    REQUIRE(run.code == 0);
    return parse_lines(read(folder / "run.json")).at(0)["store"].get<std::string>();
  };
  CHECK(held({}) == best);
  CHECK(held({"--store", "q8_0"}) == "q8_0");
  CHECK_THAT(run_program({"inspect", folder / "tuned/split.json"}).out, Contains("how a tuning holds keys and values"));
  // made without recency, for means to make up for it
  namm::PolicyFile made_plain = namm::load_policy_file(folder / "tuned/policy.json");
  made_plain.policy = namm::with_recency(*made_plain.policy, 0);
  made_plain.store.means = 2;
  namm::save_policy_file(folder / "made_plain.json", made_plain);
  const auto warned = [&](const std::string& store) {
    return run_program({"eval", "--model", host, "--policy", folder / "made_plain.json", "--store", store, "--tasks", "passkey",
                        "--samples", "1"})
        .err;
  };
  CHECK_THAT(warned("q8_0"), Contains("is without recency") && Contains("+2means"));
  CHECK_THAT(warned("q8_0+1means"), !Contains("recency"));

  // of so many tokens means of evicted ones are compared with none
  begin_small(host, folder / "tokens", {{"budget", "25%"}, {"store", "auto"}});
  const Outcome tokens = run_program({"tune", "--resume", folder / "tokens", "--quiet"}, kept);
  CAPTURE(tokens.err);
  REQUIRE(tokens.code == 0);
  const namm::PolicyFile by_tokens = namm::load_policy_file(folder / "tokens/policy.json");
  const json compared = by_tokens.provenance["tuned"]["stores"];
  REQUIRE(compared.size() == 3);
  const double plain = compared["f16"], aged = compared["f16+4means"], ageless = compared["f16+4means without recency"];
  CHECK((by_tokens.store.means == 4) == (std::max(aged, ageless) > plain));
  CHECK((by_tokens.policy->to_json().at("recency") == 0) == (ageless > std::max(aged, plain)));

  // where everything fits nothing is evolved
  begin_small(host, folder / "whole", {{"budget", "60%bytes"}, {"store", "q8_0"}});
  const Outcome whole = run_program({"tune", "--resume", folder / "whole", "--quiet"}, kept);
  CAPTURE(whole.err);
  REQUIRE(whole.code == 0);
  CHECK_THAT(whole.out, Contains("calibrated, keys and values held as q8_0") && Contains("nothing to evolve"));
  CHECK_FALSE(std::filesystem::exists(folder / "whole/offsets-1"));
  begin_small(host, folder / "whole-size", {{"budget", "64MiB"}, {"store", "q8_0"}});
  const Outcome size = run_program({"tune", "--resume", folder / "whole-size", "--quiet"}, kept);
  CAPTURE(size.err);
  REQUIRE(size.code == 0);
  CHECK_THAT(size.out, Contains("nothing to evolve"));

  check_refused(run_program({"tune", "--resume", folder / "tuned", "--store", "f16", "--quiet"}, kept), 2,
                {"--store: must be auto", "is f16", "begin another"});
  // of one policy file, what is made of it would hold keys and values otherwise
  check_refused(run_program({"evolve", "--model", host, "--policy", folder / "whole/policy.json", "--budget", "25%", "--output",
                             folder / "evolved"},
                            kept),
                2, {"--policy", "q8_0", "store"});
  check_refused(run_program({"average", folder / "whole/policy.json", folder / "whole/calibrated/policy.json", "--output",
                             folder / "mean.json"},
                            kept),
                1, {"store", "q8_0", "f16"});
  CHECK_THAT(run_program({"inspect", folder / "whole/policy.json"}, kept).out, Contains("store") && Contains("q8_0"));

  write(folder / "tuned/split.json", "{\"store\": \"q2_k\"}");
  json state = json::parse(read(folder / "tuned/tune.json"));
  state["done"].erase(state["done"].size() - 1);
  write(folder / "tuned/tune.json", state.dump());
  check_refused(run_program({"tune", "--resume", folder / "tuned", "--quiet"}, kept), 1, {"split.json", "q2_k", "resume"});
  write(folder / "tuned/split.json", "{");
  check_refused(run_program({"tune", "--resume", folder / "tuned", "--quiet"}, kept), 1, {"split.json", "cut off", "resume"});
  std::filesystem::remove(folder / "tuned/split.json");  // as it says: what was measured settles it again
  REQUIRE(run_program({"tune", "--resume", folder / "tuned", "--quiet"}, kept).code == 0);
  const json again = json::parse(read(folder / "tuned/split.json"));
  CHECK(again["store"] == best);
  CHECK(again["nat"] == stores);
}

TEST_CASE("tune refuses what it could not go on with") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  check_refused(run_program({"tune", "--model", host}), 2, {"--output", "--resume"});
  check_refused(run_program({"tune", "--resume", folder / "none", "--model", host}), 1, {"no tuning to go on with", "--output"});
  check_refused(run_program({"tune", "--model", host, "--output", folder / "t", "--budget", "none"}), 2, {"--budget", "25%"});
  check_refused(run_program({"tune", "--model", host, "--output", folder / "t", "--store", "q2_k"}), 2, {"--store", "q2_k"});
  check_refused(run_program({"tune", "--model", host, "--output", folder / "t", "--budget", "23", "--store", "f16+4means"}), 2,
                {"--budget: must hold the 20 protected tokens and 4 means", "is 23"});
  for (const char* const store : {"auto", "f16"})
    check_refused(run_program({"tune", "--model", host, "--output", folder / "t", "--budget", "2%", "--store", store}), 2,
                  {"--budget: must hold 20 tokens", "of a text of 700 in f16", "is 2% (14 tokens)"});
  check_refused(
      run_program({"tune", "--model", host, "--output", folder / "t", "--budget", "1.7%bytes", "--store", "q8_0+4means"}), 2,
      {"--budget: must hold 28 tokens", "is 1.7%bytes (22 tokens)"});
  CHECK_FALSE(std::filesystem::exists(folder / "t"));
  write(folder / "other.txt", "x");
  check_refused(run_program({"tune", "--model", host, "--output", folder.path().string()}), 1, {"new or empty"});
  begin_small(host, folder / "t");
  check_refused(run_program({"tune", "--model", host, "--output", folder / "t"}), 1, {"--resume"});
  write(folder / "t/tune.json", "{\"done\": [");
  check_refused(run_program({"tune", "--resume", folder / "t"}), 1, {"tune.json", "damaged"});
}
