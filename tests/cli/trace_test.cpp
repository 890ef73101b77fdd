#include <filesystem>

#include "tests/support/program.hpp"

using namespace namm::test;

namespace {

std::vector<std::string> words(const std::string& host, const std::string& option, const std::string& file,
                               std::vector<std::string> more = {}) {
  std::vector<std::string> out{"trace", "--model", host, option, file, "--tasks", "niah-single,passkey", "--length", "200"};
  out.insert(out.end(), {"--prompts", "2", "--validation", "1"});
  out.insert(out.end(), more.begin(), more.end());
  return out;
}

}  // namespace

TEST_CASE("a trace says its size beforehand, goes on where it was cut, and does not depend on workers") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  const Outcome outcome = run_program(words(host, "--output", folder / "a.trace"));
  CAPTURE(outcome.err);
  REQUIRE(outcome.code == 0);
  CHECK_THAT(outcome.err, Contains("6 prompts") && Contains("on disk"));
  const std::string whole = read(folder / "a.trace");

  const Outcome inspect = run_program({"inspect", folder / "a.trace", "--json", folder / "facts.json"});
  REQUIRE(inspect.code == 0);
  const nlohmann::json facts = nlohmann::json::parse(read(folder / "facts.json"));
  CHECK(facts["kind"] == "trace");
  CHECK(facts["splits"] == nlohmann::json({{"train", 4}, {"validation", 2}}));
  CHECK(facts["bytes_behind_the_last_whole_prompt"] == 0);

  write(folder / "b.trace", whole.substr(0, whole.size() * 3 / 5));
  check_refused(run_program(words(host, "--output", folder / "b.trace")), 1, {"b.trace", "exists already", "--resume"});
  check_refused(run_program(words(host, "--resume", folder / "b.trace", {"--interval", "64"})), 1, {"b.trace", "other settings"});
  check_refused(run_program(words(host, "--resume", folder / "b.trace", {"--seed", "2"})), 1, {"b.trace", "other settings"});
  CHECK(run_program(words(host, "--resume", folder / "b.trace", {"--workers", "2"})).code == 0);
  CHECK(read(folder / "b.trace") == whole);

  std::string damaged = whole;
  damaged[damaged.size() / 2] ^= 1;
  write(folder / "c.trace", damaged);
  check_refused(run_program({"inspect", folder / "c.trace"}), 1, {"c.trace", "damaged at byte", "checksum"});
  CHECK(folder.names() == std::vector<std::string>{"a.trace", "b.trace", "c.trace", "facts.json"});
}

TEST_CASE("a trace of prompts of a few tokens, which does not go on with other texts of the same names") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  const auto write_data = [&](const std::string& river) {
    std::string lines;
    for (int i = 0; i < 5; ++i)
      lines += nlohmann::json({{"context", "The " + river + " is " + std::to_string(i) + " miles wide."},
                               {"question", " Is it?"},
                               {"answers", {"yes"}},
                               {"id", std::to_string(i)}})
                   .dump() +
               "\n";
    write(folder / "data.jsonl", lines);
  };
  const auto trace_data = [&](const std::string& option) {
    return run_program({"trace", "--model", host, option, folder / "t.trace", "--data", folder / "data.jsonl", "--prompts", "2",
                        "--validation", "1", "--statistics", "sums", "--keys", "none"});
  };
  write_data("river");
  const Outcome outcome = trace_data("--output");
  CAPTURE(outcome.err);
  REQUIRE(outcome.code == 0);
  CHECK_THAT(outcome.err, Contains("3 prompts"));
  CHECK(trace_data("--resume").code == 0);
  write_data("sea");
  check_refused(trace_data("--resume"), 1, {"t.trace", "must have the tokens that it was begun with", "--data"});
}

TEST_CASE("a trace takes parts of the heads, and refuses what is not there") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  const auto refused = [&](std::vector<std::string> more, const std::vector<std::string>& parts) {
    check_refused(run_program(words(host, "--output", folder / "t.trace", std::move(more))), 2, parts);
    CHECK(folder.names().empty());
  };
  refused({"--layers", "0"}, {"--layers", "layer 0 is none"});
  refused({"--layers", "every:0"}, {"--layers", "every:0"});
  refused({"--heads", "7"}, {"--heads", "is 7"});
  refused({"--keys", "f64"}, {"--keys", "f64"});
  refused({"--statistics", "few"}, {"--statistics", "few"});
  refused({"--interval", "8"}, {"--interval", "is 8"});
  check_refused(run_program({"trace", "--model", host}), 2, {"--output", "--resume"});
  REQUIRE(
      run_program(words(host, "--output", folder / "t.trace", {"--heads", "1", "--statistics", "sums", "--keys", "none"})).code ==
      0);
  CHECK(std::filesystem::file_size(folder / "t.trace") < 100000);
}

TEST_CASE("evolve: a stage on a trace, then one on the model") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  REQUIRE(run_program(words(host, "--output", folder / "t.trace", {"--statistics", "sums", "--keys", "none"})).code == 0);
  nlohmann::json config = {{"model", host}, {"budget", "25%"}, {"population", 6}, {"generations", 2}, {"prompts", 1}};
  config["stages"] = {{{"traces", folder / "t.trace"}},
                      {{"fitness", "semi-live"}, {"tasks", "passkey"}, {"length", 200}, {"validation", 2}}};
  write(folder / "run.json", config.dump());
  const Outcome all = run_program({"evolve", "--config", folder / "run.json", "--output", folder / "run"});
  CAPTURE(all.err);
  REQUIRE(all.code == 0);
  const auto fitness = [&](const char* stage) {
    const std::string policy = read(folder / "run" + "/" + stage + "/policy.json");
    return nlohmann::json::parse(policy)["provenance"]["fitness"].get<std::string>();
  };
  CHECK(fitness("stage-1") == "retention");
  CHECK(fitness("stage-2") == "semi-live");
  CHECK_FALSE(std::filesystem::exists(folder / "run/stage-1/live.json"));
  const nlohmann::json echoed = nlohmann::json::parse(read(folder / "run/run.json"));
  CHECK(echoed["stages"][0].contains("traces"));
  CHECK_FALSE(echoed["stages"][1].contains("traces"));

  config["stages"][1] = {{"traces", folder / "t.trace"}, {"start", "least-squares"}};
  write(folder / "late.json", config.dump());
  check_refused(run_program({"evolve", "--config", folder / "late.json", "--output", folder / "late"}), 2, {"--start", "policy"});
  CHECK_FALSE(std::filesystem::exists(folder / "late"));
}

TEST_CASE("evolve runs on a trace without the model, the same for any number of workers, and is evaluated live with it") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  REQUIRE(run_program(words(host, "--output", folder / "t.trace", {"--statistics", "sums", "--keys", "none"})).code == 0);
  const auto evolve = [&](const std::string& output, std::vector<std::string> more, const Surroundings& surroundings = {}) {
    std::vector<std::string> all{"evolve", "--traces", folder / "t.trace", "--output", folder / output, "--budget", "25%"};
    all.insert(all.end(), {"--population", "6", "--generations", "3", "--prompts", "1"});
    all.insert(all.end(), more.begin(), more.end());
    return run_program(all, surroundings);
  };
  const Outcome one = evolve("one", {});
  CAPTURE(one.err);
  REQUIRE(one.code == 0);
  CHECK_FALSE(std::filesystem::exists(folder / "one/live.json"));
  const Outcome two = evolve("two", {"--workers", "2", "--model", host, "--tasks", "passkey", "--length", "200"});
  CAPTURE(two.err);
  REQUIRE(two.code == 0);
  CHECK(read(folder / "one/log.jsonl") == read(folder / "two/log.jsonl"));
  CHECK_THAT(two.out, Contains("live: answer-likelihood"));
  const nlohmann::json live = nlohmann::json::parse(read(folder / "two/live.json"));
  CHECK(live["prompts"] == 1);
  CHECK(live["policy"].get<double>() <= 0.05);

  check_refused(run_program({"evolve", "--output", folder / "x"}), 2, {"--model", "--traces"});
  check_refused(run_program({"evolve", "--model", host, "--fitness", "retention", "--output", folder / "x"}), 2, {"--traces"});
  check_refused(evolve("x", {"--fitness", "task-score"}), 2, {"--fitness", "retention"});
  const Outcome fitted = evolve("fitted", {"--start", "least-squares"});
  CAPTURE(fitted.err);
  REQUIRE(fitted.code == 0);
  CHECK(nlohmann::json::parse(read(folder / "fitted/policy.json"))["provenance"]["start_validation"].get<double>() >
        nlohmann::json::parse(read(folder / "one/policy.json"))["provenance"]["start_validation"].get<double>());
  const std::string probe = std::string(NAMM_SOURCE_DIR) + "/experiments/calibrate/policies/jamba-recall-probe.json";
  check_refused(evolve("x", {"--policy", probe}), 2, {"--keys f16"});
  check_refused(evolve("x", {"--features", "light+probe", "--probe", probe, "--start", "least-squares"}), 2, {"--keys f16"});
  check_refused(evolve("x", {"--start", "middle"}), 2, {"--start", "least-squares", "middle"});
  check_refused(evolve("x", {"--start", "least-squares", "--policy", folder / "one/policy.json"}), 2, {"--start", "new policy"});
  const auto start_of = [&](const std::string& run) {
    return nlohmann::json::parse(read(folder / (run + "/policy.json")))["provenance"]["start_validation"].get<double>();
  };
  const auto best_of = [&](const std::string& run) {
    return nlohmann::json::parse(read(folder / (run + "/policy.json")))["provenance"]["validation"].get<double>();
  };
  write(folder / "namm", "");  // a name is a name, whatever lies in the folder
  Surroundings there;
  there.launcher = {"env", "-C", folder.path().string()};
  REQUIRE(evolve("fitted-namm", {"--start", "least-squares", "--policy", "namm"}, there).code == 0);
  CHECK(start_of("fitted-namm") == Approx(start_of("fitted")).margin(1e-9));
  for (const char* const policy : {"namm", "namm-mlp", "linear"}) {  // begins with what the linear policy reached
    const Outcome wider = evolve(std::string("from-") + policy, {"--policy", policy, "--start", folder / "fitted/policy.json"});
    CAPTURE(policy, wider.err);
    REQUIRE(wider.code == 0);
    CHECK(start_of(std::string("from-") + policy) == Approx(best_of("fitted")).margin(1e-9));
    const auto policy_of = [&](const std::string& run) {
      return nlohmann::json::parse(read(folder / (run + "/policy.json"))).at("policy");
    };
    CHECK(policy_of(std::string("from-") + policy).at("normalisation") == policy_of("fitted").at("normalisation"));
    CHECK(policy_of(std::string("from-") + policy).at("features") == "light");
  }
  check_refused(evolve("x", {"--policy", "namm", "--start", folder / "from-namm/policy.json"}), 2,
                {"--start", "linear", "has namm"});
  check_refused(evolve("x", {"--policy", "namm", "--start", folder / "none.json"}), 1, {"none.json"});
  check_refused(evolve("x", {"--policy", "namm", "--start", folder / "one/policy.json", "--features", "extended"}), 2,
                {"--features", "light", "extended"});
  check_refused(evolve("x", {"--start", folder / "one/policy.json", "--probe", probe}), 2, {"--probe", "start"});
  check_refused(evolve("x", {"--validation", "9"}), 2, {"--validation", "is 9"});
  check_refused(evolve("x", {"--features", "paper"}), 2, {"spectrogram", "--statistics all"});
  check_refused(evolve("x", {"--interval", "100"}), 2, {"interval", "multiple of the recorded 128"});
}

TEST_CASE("evolve measures candidates on branches of one prefill per prompt: semi-live") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  const auto evolve = [&](const std::string& output, const std::string& generations, const std::vector<std::string>& more) {
    std::vector<std::string> all{"evolve", "--model", host, "--fitness", "semi-live", "--output", folder / output};
    all.insert(all.end(),
               {"--tasks", "passkey", "--length", "200", "--validation", "1", "--validate-every", "1", "--workers", "2"});
    all.insert(all.end(), {"--generations", generations, "--training-pool", "2"});
    all.insert(all.end(), more.begin(), more.end());
    return run_program(all);
  };
  const auto resume = [&](const std::string& output) {
    const Outcome outcome = run_program({"evolve", "--resume", folder / output, "--generations", "2", "--workers", "1"});
    CAPTURE(output, outcome.err);
    CHECK(outcome.code == 0);
    return read(folder / (output + "/log.jsonl"));
  };
  const std::vector<std::string> two{"--prompts", "2", "--population", "4"}, one{"--prompts", "1", "--population", "20"};
  const Outcome outcome = evolve("run", "2", two);
  CAPTURE(outcome.err);
  REQUIRE(outcome.code == 0);
  CHECK_THAT(outcome.out, Contains("done after 2 generations"));
  REQUIRE(evolve("forgetful", "2", {"--prompts", "2", "--population", "4", "--prompt-memory", "1"}).code == 0);
  CHECK(read(folder / "run/log.jsonl") == read(folder / "forgetful/log.jsonl"));  // less than a prompt: read again and again
  check_refused(evolve("x", "2", {"--prompt-memory", "0"}), 2, {"--prompt-memory", "at least 1"});

  // the full cache is measured again by who resumes; a single prompt and three groups of candidates
  REQUIRE(evolve("whole", "2", one).code == 0);
  REQUIRE(evolve("early", "1", one).code == 0);
  CHECK(resume("early") == read(folder / "whole/log.jsonl"));

  // features come from the start, also when it is resumed
  REQUIRE(evolve("paper", "1", {"--prompts", "1", "--population", "4", "--features", "paper"}).code == 0);
  REQUIRE(
      evolve("wide", "1", {"--prompts", "1", "--population", "4", "--policy", "namm", "--start", folder / "paper/policy.json"})
          .code == 0);
  CHECK(nlohmann::json::parse(read(folder / "wide/policy.json")).at("policy").at("features") == "paper");
  CHECK_THAT(resume("wide"), Contains("\"generation\":2"));
}
