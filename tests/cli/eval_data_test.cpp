#include <algorithm>
#include <chrono>
#include <csignal>
#include <regex>
#include <set>
#include <thread>

#include <nlohmann/json.hpp>

#include "tests/support/program.hpp"

using namespace namm::test;
using nlohmann::json;

namespace {

/// Prompts with a number in the middle of a text of about 900 tokens; `documents` texts, with as many questions each.
std::string prompts(int documents, int questions) {
  std::string out;
  for (int d = 0; d < documents; ++d)
    for (int q = 0; q < questions; ++q) {
      std::string half;
      for (int i = 0; i < 45; ++i) half += "The grass is green and the sky is blue. ";
      const std::string key = std::to_string(40000 + d), text = half + "The pass key is " + key + ". " + half;
      out += json({{"context", text},
                   {"question", "Question " + std::to_string(q) + ": what is the pass key?"},
                   {"answer_prefix", "The pass key is"},
                   {"answers", {key}},
                   {"id", std::to_string(d) + "/" + std::to_string(q)}})
                 .dump() +
             "\n";
    }
  return out;
}

struct Evaluation {
  Outcome outcome;
  std::vector<json> records;
};

Evaluation evaluate(const std::string& host, const Folder& folder, const std::vector<std::string>& more) {
  std::vector<std::string> words = {"eval", "--model",  host,  "--data", folder / "mine.jsonl", "--policy",
                                    "h2o",  "--budget", "50%", "--json", folder / "r.jsonl"};
  words.insert(words.end(), more.begin(), more.end());
  Evaluation out{run_program(words), {}};
  CAPTURE(out.outcome.err);
  REQUIRE(out.outcome.code == 0);
  out.records = parse_lines(read(folder / "r.jsonl"));
  return out;
}

}  // namespace

TEST_CASE("eval --data reads whole contexts, and says and counts what a length cuts out") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  write(folder / "mine.jsonl", prompts(2, 1));
  const Evaluation whole = evaluate(host, folder, {});
  CHECK(whole.records[0]["length_tokens"] == 0);
  CHECK(whole.records[0]["cut_prompts"] == 0);
  CHECK_THAT(whole.outcome.out, Contains("whole contexts"));
  CHECK(whole.outcome.err.empty());
  const Evaluation cut = evaluate(host, folder, {"--length", "300"});
  CHECK(cut.records[0]["length_tokens"] == 300);
  CHECK(cut.records[0]["cut_prompts"] == 2);
  CHECK_THAT(cut.outcome.err, Contains("2 of 2 prompts lost their middle"));
  CHECK(cut.records[0]["entries_full"].get<double>() < 0.5 * whole.records[0]["entries_full"].get<double>());
  CHECK(cut.records[0]["answer_log_likelihood"].get<double>() < whole.records[0]["answer_log_likelihood"].get<double>() - 1);
}

TEST_CASE("eval --data: no prompt counts twice, and questions on one text are one unit") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  write(folder / "mine.jsonl", prompts(2, 2));
  const Evaluation asked = evaluate(host, folder, {"--samples", "20", "--length", "100"});
  CHECK_THAT(asked.outcome.err, Contains("--samples 20: there are 4 different prompts"));
  for (const json& r : asked.records) {
    CHECK(r["samples"] == 4);
    CHECK(r["independent"] == 2);
    CHECK(r["prompts"]["score"].size() == 4);
    CHECK(r["settings"]["split"] == "all");
  }
  const Evaluation drawn = evaluate(host, folder, {"--samples", "3", "--length", "100"});
  CHECK(drawn.records[0]["samples"] == 3);
  const Evaluation again = evaluate(host, folder, {"--samples", "20", "--length", "100"});
  CHECK(again.records[0]["prompts"] == asked.records[0]["prompts"]);
  const Evaluation resumed = evaluate(host, folder, {"--samples", "20", "--length", "100", "--resume"});
  CHECK(resumed.records == again.records);
}

TEST_CASE("eval --data honours --split, and texts are in one split") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  write(folder / "mine.jsonl", prompts(5, 2));
  std::set<std::string> units;
  std::size_t all = 0;
  for (const auto& [split, samples] : {std::pair("train", 6), {"validation", 2}, {"test", 2}}) {
    const json record = evaluate(host, folder, {"--split", split, "--length", "100"}).records[0];
    CHECK(record["settings"]["split"] == split);
    CHECK(record["samples"] == samples);
    const std::set<std::string> here = record["prompts"]["unit"];
    units.insert(here.begin(), here.end());
    all += here.size();
  }
  CHECK(all == 5);
  CHECK(units.size() == 5);
  write(folder / "few.jsonl", prompts(3, 1));
  check_refused(run_program({"eval", "--model", host, "--data", folder / "few.jsonl", "--split", "test"}), 2,
                {"--split", "test of", "few.jsonl has none", "--split all"});
  check_refused(run_program({"eval", "--model", host, "--split", "all"}), 2, {"--split", "generated", "--data"});
  check_refused(run_program({"eval", "--model", host, "--length", "full"}), 2, {"--length", "generated"});
}

TEST_CASE("eval --data says which policies have seen the prompts: calibrated on the file, or evolved on a part of it") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  write(folder / "mine.jsonl", prompts(5, 1));
  write(folder / "others.jsonl", prompts(6, 1));
  const Outcome fitted = run_program({"calibrate", "--no-keep", "--model", host, "--data", folder / "mine.jsonl", "--texts", "0",
                                      "--length", "96", "--output", folder / "fitted"});
  const Outcome evolved =
      run_program({"evolve", "--model", host, "--data", folder / "mine.jsonl", "--length", "96", "--budget", "50%", "--interval",
                   "32", "--population", "4", "--generations", "1", "--output", folder / "evolved"});
  INFO(fitted.err << evolved.err);
  REQUIRE(fitted.code + evolved.code == 0);
  REQUIRE(run_program({"average", folder / "fitted/policy.json", folder / "fitted/policy.json", "--output", folder / "mean.json"})
              .code == 0);
  const auto warnings = [&](const std::string& data, const std::string& policy, const std::string& split) {
    const Outcome outcome = run_program({"eval", "--model", host, "--data", folder / data, "--policy", policy, "--budget", "50%",
                                         "--split", split, "--length", "96"});
    INFO(outcome.err);
    REQUIRE(outcome.code == 0);
    return std::regex_replace(outcome.err, std::regex("\n *"), " ");  // lines are wrapped where the path's length has it
  };
  std::filesystem::copy_file(folder / "mine.jsonl", folder / "renamed.jsonl");
  CHECK_THAT(warnings("renamed.jsonl", folder / "fitted/policy.json", "test"),
             Contains("fitted to prompts of") && Contains("renamed.jsonl"));
  CHECK_THAT(warnings("mine.jsonl", folder / "mean.json", "all"), Contains("fitted to prompts of"));
  CHECK_THAT(warnings("mine.jsonl", folder / "evolved/policy.json", "all"),
             Contains("evolved on prompts of") && Contains("--split test"));
  CHECK_THAT(warnings("mine.jsonl", folder / "evolved/policy.json", "test"), !Contains("prompts of"));
  CHECK_THAT(warnings("others.jsonl", (folder / "fitted/policy.json") + "," + (folder / "evolved/policy.json"), "all"),
             !Contains("prompts of"));
}

TEST_CASE("eval --compress once: nothing is dropped before the context is read, and results are told apart") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  write(folder / "mine.jsonl", prompts(2, 1));
  const Evaluation chunked = evaluate(host, folder, {"--interval", "64"});
  const Evaluation once = evaluate(host, folder, {"--compress", "once"});
  CHECK(chunked.records[1]["settings"]["compress"] == "chunked");
  CHECK(once.records[1]["settings"]["compress"] == "once");
  const Evaluation codes = evaluate(host, folder, {"--store", "q8_0"});
  CHECK(chunked.records[1]["settings"]["store"] == "f16");
  CHECK(codes.records[1]["settings"]["store"] == "q8_0");
  CHECK(codes.records[1]["memory"] != chunked.records[1]["memory"]);
  // what the bits cost by themselves
  const Outcome full = run_program({"eval", "--model", host, "--data", folder / "mine.jsonl", "--policy", "full", "--store",
                                    "q8_0,q4_0", "--json", folder / "full.jsonl"});
  CAPTURE(full.err);
  REQUIRE(full.code == 0);
  const auto held = parse_lines(read(folder / "full.jsonl"));
  REQUIRE(held.size() == 2);
  CHECK(held[0]["policy"] == "full");
  CHECK(held[1]["policy"] == "full in q8_0,q4_0");
  CHECK(held[1]["entries_final"] == held[0]["entries_final"]);
  CHECK(held[1]["kv_bytes_final"].get<double>() < 0.7 * held[0]["kv_bytes_final"].get<double>());
  CHECK(held[1]["answer_log_likelihood_delta"] != 0);
  CHECK(std::abs(held[1]["answer_log_likelihood_delta"].get<double>()) < 0.5);
  // the peak is the full cache's, the end the budget's
  CHECK(chunked.records[1]["kv_bytes_peak"].get<double>() < 0.7 * once.records[1]["kv_bytes_peak"].get<double>());
  CHECK(once.records[1]["entries_final"].get<double>() < 0.55 * once.records[1]["entries_full"].get<double>());
  CHECK(once.records[1]["physical_saving"].get<double>() > 0.2);
  check_refused(run_program({"eval", "--model", host, "--compress", "once", "--interval", "64"}), 2,
                {"--compress", "--interval"});
  check_refused(run_program({"eval", "--model", host, "--compress", "twice"}), 2, {"--compress", "twice"});
}

TEST_CASE("eval: means of what was evicted bring the model nearer to its full cache, in as many entries") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  const auto results = [&](const std::string& store) {
    const Outcome outcome =
        run_program({"eval", "--model", host, "--tasks", "text", "--length", "700", "--samples", "8", "--policy", "random,knorm",
                     "--budget", "12.5%", "--store", store, "--json", folder / (store + ".jsonl"), "--quiet"});
    CAPTURE(outcome.err);
    REQUIRE(outcome.code == 0);
    return parse_lines(read(folder / (store + ".jsonl")));
  };
  const auto without = results("f16"), with = results("f16+4means");
  REQUIRE((without.size() == 3 && with.size() == 3));
  CHECK(with[0]["policy"] == "full");
  for (const std::size_t row : {1, 2}) {
    const json &a = without[row], &b = with[row];
    CAPTURE(a["policy"], a["fidelity_kl"], b["fidelity_kl"]);
    CHECK(b["store"] == "f16+4means");
    CHECK(b["memory"] != a["memory"]);
    CHECK(b["fidelity_kl"].get<double>() < 0.95 * a["fidelity_kl"].get<double>());
    CHECK(b["entries_final"] == a["entries_final"]);
    CHECK(b["entries_final"].get<double>() < 0.13 * b["entries_full"].get<double>());
    CHECK(b["kv_bytes_final"].get<double>() < 1.05 * a["kv_bytes_final"].get<double>());
    CHECK(b["physical_saving"].get<double>() > 0.6);
  }
}

TEST_CASE("eval: random draws anew for every prompt, and the same when the prompt comes again") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  const auto kept = [&](const std::string& file) {
    const Outcome outcome = run_program({"eval", "--model", host, "--policy", "random", "--tasks", "passkey", "--length", "100",
                                         "--interval", "32", "--samples", "2", "--quiet", "--details", folder / file});
    REQUIRE(outcome.code == 0);
    std::vector<json> out;
    for (const json& line : parse_lines(read(folder / file)))
      if (line["record"] == "retention" && line["policy"] == "random") out.push_back(line["kept_by"]);
    return out;
  };
  const std::vector<json> first = kept("a.jsonl");
  REQUIRE(first.size() == 2);
  const auto beginning = [](const json& list) { return json(std::vector<json>(list.begin() + 4, list.begin() + 60)); };
  CHECK(beginning(first[0]) != beginning(first[1]));
  CHECK(kept("b.jsonl") == first);
}

TEST_CASE("a model of the same name and size but other weights is another model: eval and evolve do not go on") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  const std::string model = folder / "m.gguf";
  std::string weights = read(host);
  write(model, weights);
  const std::vector<std::string> eval = {"eval",      "--model", model,     "--tasks", "passkey",          "--length", "64",
                                         "--samples", "1",       "--quiet", "--json",  folder / "r.jsonl", "--resume"};
  REQUIRE(run_program(eval).code == 0);
  REQUIRE(run_program({"evolve", "--model", model, "--output", folder / "run", "--generations", "1", "--population", "4",
                       "--length", "64", "--interval", "32", "--budget", "50%", "--validation", "1", "--quiet"})
              .code == 0);
  std::fill_n(weights.end() - 60'000, 20'000, '\0');
  write(model, weights);
  check_refused(run_program(eval), 1, {"r.jsonl", "model_hash"});
  check_refused(run_program({"evolve", "--resume", folder / "run", "--generations", "2", "--quiet"}), 1,
                {"checkpoint.json", "model_hash"});
}

TEST_CASE("eval ends in the middle of a prompt when it is told to, and keeps what it has") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  Surroundings stopping;
  stopping.meanwhile = [](int process) {
    std::this_thread::sleep_for(std::chrono::seconds(1));
    ::kill(process, SIGTERM);
  };
  // one prompt, which takes longer: who waited for its end would have a record of it
  const Outcome outcome = run_program({"eval", "--model", host, "--policy", "h2o", "--tasks", "passkey", "--length", "30000",
                                       "--samples", "1", "--json", folder / "r.jsonl"},
                                      stopping);
  CAPTURE(outcome.err);
  CHECK(outcome.code == 1);
  CHECK_THAT(outcome.err, Contains("stopped"));
  CHECK(read(folder / "r.jsonl").empty());
}
