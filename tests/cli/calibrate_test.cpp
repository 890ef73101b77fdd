#include <signal.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "core/policy_file.hpp"
#include "tests/support/program.hpp"

using namespace namm::test;
using nlohmann::json;

namespace {

std::vector<std::string> calibrate_words(const std::string& host, const std::string& folder) {
  return {"calibrate", "--model", host, "--output", folder, "--texts", "16", "--length", "256,512"};
}

}  // namespace

TEST_CASE("calibrate fits a policy that loses nothing at a quarter of the cache, from made-up texts alone") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  const Outcome outcome = run_program(calibrate_words(host, folder / "probe"));
  CAPTURE(outcome.err);
  REQUIRE(outcome.code == 0);
  CHECK_THAT(outcome.err, Contains("16 texts"));  // what it will cost is said beforehand
  CHECK_THAT(outcome.out, Contains("% of the variance explained on held-out texts"));
  CHECK_FALSE(std::filesystem::exists(folder / "probe/calibration.state"));
  const json summary = json::parse(read(folder / "probe/calibration.json"));
  CHECK(summary["texts"] == 16);
  CHECK(summary["recency"] == 2);
  CHECK(summary["evenness"].size() == 2);
  CHECK(summary["explained"].get<double>() > 0.4);
  const namm::PolicyFile file = namm::load_policy_file(folder / "probe/policy.json");
  CHECK(file.policy->name() == "key-probe");
  CHECK(file.policy->to_json().at("recency") == 2);
  CHECK(file.policy->to_json().at("evenness") == summary["evenness"]);
  CHECK_FALSE(file.policy->required().reads_attention());
  CHECK(file.selection.mode == namm::SelectionMode::pooled);
  CHECK(file.provenance["target"] == "reconstruction");

  const Outcome eval = run_program({"eval", "--model", host, "--policy", folder / "probe/policy.json" + ",random", "--budget",
                                    "25%", "--mode", "pooled", "--tasks", "niah-single,kv-recall", "--length", "700", "--samples",
                                    "6", "--json", folder / "r.jsonl"});
  CAPTURE(eval.err);
  REQUIRE(eval.code == 0);
  for (const json& r : parse_lines(read(folder / "r.jsonl"))) {
    if (r["policy"] == "full") continue;
    CHECK(r["logical_saving"].get<double>() > 0.7);
    if (r["policy"] == "random") {
      CHECK(r["answer_log_likelihood_delta"].get<double>() < -0.5);
    } else {
      CHECK(r["answer_log_likelihood_delta"].get<double>() > -0.05);
      CHECK(r["quality"].get<double>() >= 0.8);
      CHECK(r["physical_saving"].get<double>() > 0.55);
    }
  }
}

TEST_CASE("calibrate writes the same policy in binary form, which is kept, measured and replaced like the other") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  Surroundings kept;
  kept.data = folder / "data";
  const auto words = [&](const char* name, const char* format) {
    return std::vector<std::string>{"calibrate", "--model",  host,      "--output", folder / name, "--texts",
                                    "2",         "--length", "200,250", "--format", format,        "--quiet"};
  };
  const Outcome outcome = run_program(words("a", "safetensors"), kept);
  CAPTURE(outcome.err);
  REQUIRE(outcome.code == 0);
  CHECK_THAT(outcome.out, Contains("a/policy.safetensors") && Contains("kept as this model's own"));
  const auto kept_files = [&] {
    std::vector<std::string> out;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(kept.data))
      if (entry.is_regular_file()) out.push_back(entry.path().filename().string());
    return out;
  };
  CHECK(kept_files() == std::vector<std::string>{"calibrated.safetensors"});
  REQUIRE(run_program(words("b", "json"), kept).code == 0);
  CHECK(namm::load_policy_file(folder / "a").policy->to_json() == namm::load_policy_file(folder / "b").policy->to_json());
  CHECK(kept_files() == std::vector<std::string>{"calibrated.json"});  // in the first's place
  CHECK_THAT(run_program({"policies"}, kept).out, Contains("calibrated"));
  check_refused(run_program(words("a", "json"), kept), 1, {"holds a policy already"});
  check_refused(run_program(words("c", "pickle"), kept), 2, {"--format", "json or safetensors", "pickle"});
}

TEST_CASE("evolution on a probe begins as the probe and never ends below it on validation prompts") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  REQUIRE(run_program(
              {"calibrate", "--model", host, "--output", folder / "probe", "--texts", "6", "--length", "256", "--input", "key"})
              .code == 0);
  const Outcome outcome = run_program({"evolve",
                                       "--model",
                                       host,
                                       "--output",
                                       folder / "run",
                                       "--policy",
                                       "linear",
                                       "--probe",
                                       folder / "probe/policy.json",
                                       "--budget",
                                       "12.5%",
                                       "--tasks",
                                       "kv-recall",
                                       "--length",
                                       "256",
                                       "--generations",
                                       "2",
                                       "--prompts",
                                       "2",
                                       "--validation",
                                       "3",
                                       "--population",
                                       "6",
                                       "--validate-every",
                                       "1"});
  CAPTURE(outcome.err);
  REQUIRE(outcome.code == 0);
  const json checkpoint = json::parse(read(folder / "run/checkpoint.json"));
  CHECK(checkpoint["best_validation"].get<double>() >= checkpoint["start_validation"].get<double>());
  const namm::PolicyFile evolved = namm::load_policy_file(folder / "run/policy.json");
  CHECK(evolved.policy->name() == "linear");
  CHECK(evolved.policy->reader() != nullptr);
  CHECK(evolved.policy->to_json().at("recency") == 2);  // all of the calibrated policy is in it
  CHECK(evolved.policy->parameter_count() == 5);        // age, probe, two neighbourhoods, constant
  CHECK(evolved.selection.mode == namm::SelectionMode::pooled);
}

TEST_CASE("calibrate says what is wrong in one line, before it works") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  const auto with = [&](std::initializer_list<std::string> more) {
    std::vector<std::string> words = calibrate_words(host, folder / "p");
    words.insert(words.end(), more);
    return run_program(words);
  };
  check_refused(run_program({"calibrate", "--model", host}), 2, {"--output", "exactly one of them"});
  check_refused(with({"--target", "future"}), 2, {"--target", "reconstruction, later, planted or answers", "future"});
  check_refused(with({"--input", "value"}), 2, {"probe input", "key or layer"});
  check_refused(with({"--recency", "5"}), 2, {"recency", "from 0 to 4", "is 5", "0 leaves the age out"});
  check_refused(with({"--recency", "nan"}), 2, {"recency"});
  check_refused(with({"--target", "answers"}), 2, {"needs texts, has none", "--tasks"});
  check_refused(with({"--data", folder / "none.txt"}), 1, {"none.txt"});
  check_refused(run_program({"calibrate", "--resume", folder / "nothing"}), 1, {"nothing", "there is no calibration to resume"});
  std::filesystem::create_directories(folder / "q");
  write(folder / "q/policy.json", "{}");
  check_refused(run_program(calibrate_words(host, folder / "q")), 1,
                {"holds a policy already", "namm eval --policy " + (folder / "q")});
  CHECK(read(folder / "q/policy.json") == "{}");
}

TEST_CASE("calibrate says when texts are too short for the age of tokens to count") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  for (const char* const length : {"48", "256"}) {
    const Outcome outcome = run_program({"calibrate", "--model", host, "--output", folder / length, "--texts", "3", "--length",
                                         length, "--input", "key", "--read-out", "linear", "--no-keep"});
    CAPTURE(outcome.err);
    REQUIRE(outcome.code == 0);
    CHECK((outcome.err.find("texts must have 68 tokens or more for the age of tokens to count") != std::string::npos) ==
          (length == std::string("48")));
  }
}

TEST_CASE("calibrate: what was stopped is resumed with --resume alone, and comes to the same") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  const std::string state = folder / "stopped/calibration.state";
  const auto words = [&](const std::string& name) {
    return std::vector<std::string>{"calibrate", "--model", host,        "--output", folder / name, "--texts", "24",
                                    "--length",  "256",     "--recency", "0.5",      "--input",     "key",     "--quiet"};
  };
  Outcome outcome;
  for (int delay = 50; delay < 10000 && !std::filesystem::exists(state); delay *= 3) {  // not before the first text
    std::filesystem::remove_all(folder / "stopped");
    Surroundings stopping;
    stopping.meanwhile = [&](int process) {
      for (int i = 0; i < 20000 && !std::filesystem::exists(folder / "stopped/run.json"); ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      std::this_thread::sleep_for(std::chrono::milliseconds(delay));
      ::kill(process, SIGINT);
    };
    outcome = run_program(words("stopped"), stopping);
  }
  REQUIRE(std::filesystem::exists(state));
  CHECK_THAT(outcome.out, Contains("\ngo on with: namm calibrate --resume " + (folder / "stopped") + "\n"));
  const Outcome resumed = run_program({"calibrate", "--resume", folder / "stopped", "--quiet"});
  CAPTURE(resumed.err);
  REQUIRE(resumed.code == 0);
  REQUIRE(run_program(words("whole")).code == 0);
  CHECK(json::parse(read(folder / "stopped/policy.json"))["policy"] == json::parse(read(folder / "whole/policy.json"))["policy"]);
}

TEST_CASE("policies that need a probe are refused without one") {
  NAMM_NEED_HOST(host);
  check_refused(run_program({"eval", "--model", host, "--policy", "key-probe"}), 1, {"policy.probe", "namm calibrate"});
  check_refused(run_program({"evolve", "--model", host, "--output", "/nonexistent/x", "--features", "probe"}), 2,
                {"policy linear", "namm calibrate", "--probe"});
}

TEST_CASE("calibrate: short texts and the text's own later tokens; what is in --data is remembered") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  const auto settings_with = [&](const std::string& text, const std::string& name) {
    write(folder / "text.txt", text);
    const Outcome outcome = run_program({"calibrate", "--model", host, "--output", folder / name, "--target", "later", "--length",
                                         "64", "--texts", "4", "--input", "key", "--data", folder / "text.txt"});
    CAPTURE(outcome.err);
    REQUIRE(outcome.code == 0);
    return json::parse(read(folder / (name + "/calibration.json"))).at("settings");
  };
  std::string text;
  for (int i = 0; i < 100; ++i) text += "The garden of house " + std::to_string(i) + " is small. ";
  const json first = settings_with(text, "a"), second = settings_with(text + "No more.", "b");
  CHECK(first.at("data") == second.at("data"));
  CHECK(first.at("data_content") != second.at("data_content"));
}
