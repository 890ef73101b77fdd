#include <algorithm>
#include <set>
#include <sstream>

#include <nlohmann/json.hpp>

#include "tests/support/program.hpp"

using namespace namm::test;
using nlohmann::json;

namespace {

json record(const std::string& policy, const std::string& task, double quality) {
  return {{"model", "m.gguf"},
          {"architecture", "llama"},
          {"policy", policy},
          {"task", task},
          {"length_tokens", 512},
          {"budget", policy == "full" ? "none" : "25%"},
          {"mode", policy == "full" ? "" : "uniform"},
          {"samples", 20},
          {"independent", 20},
          {"quality_change_p", policy == "full" ? json() : json(quality < 0.5 ? 0.001 : 0.2)},
          {"seed", 7},
          {"quality", quality},
          {"quality_ci95", {quality - 0.1, quality + 0.1}},
          {"quality_relative", quality / 0.9},
          {"answer_log_likelihood_delta", quality - 0.9},
          {"answer_log_likelihood_delta_ci95", {quality - 1.0, quality - 0.8}},
          {"fidelity_kl", nullptr},
          {"logical_saving", policy == "full" ? 0.0 : 0.75},
          {"kv_bytes_peak", 1048576}};
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> out;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) out.push_back(line);
  return out;
}

std::string two_tasks() {
  std::string text;
  for (const char* task : {"passkey", "kv-recall"})
    for (const auto& [policy, quality] : {std::pair("full", 0.9), std::pair("h2o", 0.85), std::pair("random", 0.2)})
      text += record(policy, task, quality).dump() + "\n";
  return text;
}

}  // namespace

TEST_CASE("results become a table per task and one over them, with marks where a row differs from the full cache") {
  const Folder folder;
  write(folder / "results.jsonl", two_tasks());
  const Outcome outcome = run_program({"report", folder / "results.jsonl"});
  CAPTURE(outcome.err, outcome.out);
  REQUIRE(outcome.code == 0);
  for (const char* part : {"passkey, 512 tokens: m.gguf (llama), seed 7, n = 20", "mean over the 2 tables", "n = 40", "0.20*"})
    CHECK(outcome.out.find(part) != std::string::npos);
  CHECK(outcome.out.find("0.85*") == std::string::npos);  // p = 0.2
  const std::string wide = run_program({"report", folder / "results.jsonl", "--wide"}).out;
  for (const char* part : {"75 %", "1.0 MiB", "logical"}) CHECK(wide.find(part) != std::string::npos);
  std::set<std::size_t> widths;
  for (const std::string& line : lines_of(outcome.out))
    if (line.rfind("full ", 0) == 0 || line.rfind("---", 0) == 0) widths.insert(line.size());
  CHECK(widths.size() <= 2);  // the tables of tasks and the table of means
}

TEST_CASE("Markdown tables have the same number of cells in every row") {
  const Folder folder;
  json odd = record("a|b`c*d", "passkey", 0.5);
  odd["model"] = "x\x1b[31m\n# heading";
  write(folder / "results.jsonl", two_tasks() + odd.dump() + "\n");
  const Outcome outcome =
      run_program({"report", folder / "results.jsonl", "--format", "markdown", "--output", folder / "report.md"});
  CHECK(outcome.code == 0);
  CHECK(outcome.out.empty());
  const std::string text = read(folder / "report.md");
  CHECK(text.find('\x1b') == std::string::npos);
  std::size_t cells = 0;
  for (const std::string& line : lines_of(text)) {
    if (line.empty() || line[0] != '|') {
      cells = 0;
      continue;
    }
    std::size_t bars = 0;
    for (std::size_t i = 0; i < line.size(); ++i) bars += line[i] == '|' && (i == 0 || line[i - 1] != '\\') ? 1 : 0;
    if (cells == 0) cells = bars;
    CAPTURE(line);
    CHECK(bars == cells);
  }
}

TEST_CASE("garbled result lines are refused with file and line, and no report is written") {
  const Folder folder;
  const std::string good = record("h2o", "passkey", 0.5).dump() + "\n", file = folder / "results.jsonl";
  json no_model = record("h2o", "passkey", 0.5), text_quality = no_model, huge = no_model, negative = no_model;
  no_model.erase("model");
  text_quality["quality"] = "high";
  huge["samples"] = 1e300;
  negative["samples"] = -1;
  const std::vector<std::pair<std::string, std::string>> bad = {{"{\"model\": ", "cut off"},
                                                                {"[1, 2]", "JSON object"},
                                                                {no_model.dump(), "model"},
                                                                {text_quality.dump(), "quality"},
                                                                {huge.dump(), "samples"},
                                                                {negative.dump(), "samples"},
                                                                {"{\"a\":" + std::string(100'000, '['), "32 levels"},
                                                                {"\x01\x02\xff", "JSON"}};
  for (const auto& [line, reason] : bad) {
    CAPTURE(line.substr(0, 60));
    write(file, good + line + "\n" + good);
    check_refused(run_program({"report", file, "--output", folder / "report.txt"}), 1, {"results.jsonl:2:", reason});
  }
  CHECK(folder.names() == std::vector<std::string>{"results.jsonl"});
  for (const char* junk : {"{\"a\":", "{\"policy\": 1e999}", "{\"model\": \"\xff\"}"}) {
    write(file, junk);
    for (const char* command : {"report", "inspect"}) CHECK_THAT(run_program({command, file}).err, !Contains("json.exception"));
  }
  write(file, "\n\n");
  check_refused(run_program({"report", file}), 1, {"results.jsonl", "is empty"});
  check_refused(run_program({"report", folder / "missing.jsonl"}), 1, {"missing.jsonl", "does not exist"});
  check_refused(run_program({"report", folder.path().string()}), 1,
                {"must be the folder of a run of `namm evolve`, is not", "name the files in it"});
  std::filesystem::create_directory(folder / "empty");
  check_refused(run_program({"report", folder / "empty"}), 1,
                {"/empty: must be the folder of a run", "is empty", "namm eval --json"});
  std::filesystem::create_directory(folder / "probe");
  write_policy(folder / "probe/policy.json");
  check_refused(run_program({"report", folder / "probe"}), 1, {"namm eval --policy " + (folder / "probe")});
}

TEST_CASE("a report of an unknown kind is refused, and so is what holds no results, with what it is") {
  const Folder folder;
  write(folder / "results.jsonl", two_tasks());
  check_refused(run_program({"report", folder / "results.jsonl", "--output", folder / "report.pdf"}), 2,
                {"report.pdf", ".html, .md, .tex, .csv, .json or .txt", "--format"});
  for (const char* name : {"report", "report.txt"})
    CHECK(run_program({"report", folder / "results.jsonl", "--output", folder / name}).code == 0);
  CHECK(run_program({"report", folder / "results.jsonl", "--output", folder / "report.out", "--format", "text"}).code == 0);
  const auto begins = [&](const char* name, const char* with) {
    REQUIRE(run_program({"report", folder / "results.jsonl", "--output", folder / name}).code == 0);
    CHECK(read(folder / name).rfind(with, 0) == 0);
  };
  begins("report.csv", "model,architecture,seed,task,");
  begins("report.json", "{");
  begins("report.tex", "% \\usepackage{booktabs}");
  write_policy(folder / "policy.json");
  const Outcome policy = run_program({"report", folder / "results.jsonl", folder / "policy.json"});
  check_refused(policy, 1, {"policy.json: must be a file of `namm eval --json`", "is a policy", "namm eval --policy"});
  CHECK_THAT(policy.err, !Contains("json.exception"));
}

TEST_CASE("policies that were measured in different ways are named under the table") {
  const Folder folder;
  const auto report_of = [&](const std::vector<std::pair<std::string, int>>& h2o,
                             const std::vector<std::pair<std::string, int>>& tova) {
    std::string lines = record("full", "passkey", 0.9).dump() + "\n";
    for (const auto& [policy, ways] : {std::pair("h2o", h2o), std::pair("tova", tova)})
      for (const auto& [mode, interval] : ways) {
        json line = record(policy, "passkey", 0.8);
        line["mode"] = mode;
        line["interval_tokens"] = interval;
        lines += line.dump() + "\n";
      }
    write(folder / "r.jsonl", lines);
    return run_program({"report", folder / "r.jsonl"}).out;
  };
  CHECK_THAT(report_of({{"uniform", 512}}, {{"pooled", 64}}), Contains("not alike: h2o uniform/512, tova pooled/64"));
  CHECK_THAT(report_of({{"uniform", 512}}, {{"uniform", 512}}), !Contains("not alike"));
  CHECK_THAT(report_of({{"uniform", 512}, {"pooled", 512}}, {{"pooled", 512}, {"uniform", 512}}), !Contains("not alike"));
}

TEST_CASE("results of other settings are not mixed, and the heading says what differs") {
  const Folder folder;
  std::string before, after;
  for (const json& line : parse_lines(two_tasks())) {
    json one = line;
    one["settings"] = {{"question_after", true}, {"haystack", "own"}};
    before += one.dump() + "\n";
    one["settings"]["question_after"] = false;
    after += one.dump() + "\n";
  }
  write(folder / "before.jsonl", before);
  write(folder / "after.jsonl", after);
  const Outcome outcome = run_program({"report", folder / "before.jsonl", folder / "after.jsonl"});
  CAPTURE(outcome.err, outcome.out);
  REQUIRE(outcome.code == 0);
  for (const char* part : {"passkey, 512 tokens: m.gguf (llama), seed 7, question after: yes, n = 20",
                           "passkey, 512 tokens: m.gguf (llama), seed 7, question after: no, n = 20",
                           "mean over the 2 tables: m.gguf (llama), seed 7, question after: no, n = 40"})
    CHECK(outcome.out.find(part) != std::string::npos);
  for (const char* part : {"haystack", "left out", "measured again"}) CHECK(outcome.out.find(part) == std::string::npos);
  CHECK(run_program({"report", folder / "before.jsonl"}).out.find("question") == std::string::npos);
}

TEST_CASE("what was measured twice is shown once, as measured last, and counts once in the mean") {
  const Folder folder;
  write(folder / "first.jsonl", two_tasks());
  write(folder / "again.jsonl", record("full", "passkey", 0.8).dump() + "\n" + record("tova", "passkey", 0.5).dump() + "\n" +
                                    record("tova", "passkey", 0.7).dump() + "\n");
  const Outcome outcome = run_program({"report", folder / "first.jsonl", folder / "again.jsonl"});
  CAPTURE(outcome.err, outcome.out);
  REQUIRE(outcome.code == 0);
  std::vector<std::string> full, tova;
  for (const std::string& line : lines_of(outcome.out)) {
    if (line.rfind("full ", 0) == 0) full.push_back(line);
    if (line.rfind("tova ", 0) == 0) tova.push_back(line);
  }
  REQUIRE(full.size() == 3);                         // of each table and of the mean
  CHECK(full[0].find("0.85") != std::string::npos);  // the mean comes first
  CHECK(full[1].find("0.80") != std::string::npos);
  CHECK(full[2].find("0.90") != std::string::npos);
  REQUIRE(tova.size() == 1);  // twice in one table is not in both
  CHECK(tova[0].find("0.70") != std::string::npos);
  CHECK(outcome.out.find("not in every table and so left out of the mean: tova 25%") != std::string::npos);
  CHECK(outcome.out.find("rows that were measured again and are shown as measured last: 2") != std::string::npos);

  json other = record("h2o", "passkey", 0.4);  // a policy of the same name, but not the same
  other["memory"] = "0123456789abcdef";
  write(folder / "other.jsonl", other.dump() + "\n");
  const Outcome both = run_program({"report", folder / "first.jsonl", folder / "other.jsonl"});
  CHECK(both.out.find("0.40*") != std::string::npos);
  CHECK(both.out.find("h2o 0123 ") != std::string::npos);
  CHECK(both.out.find("measured again") == std::string::npos);
}

TEST_CASE("eval writes what report reads; a run folder becomes a curve") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  const Outcome eval = run_program({"eval", "--model", host, "--policy", "h2o,random", "--budget", "50%,25%", "--tasks",
                                    "passkey", "--length", "64", "--samples", "3", "--json", folder / "results.jsonl"});
  CAPTURE(eval.err);
  REQUIRE(eval.code == 0);
  CHECK(run_program({"report", folder / "results.jsonl"}).out == eval.out);
  evolve_into(host, folder / "run");
  const Outcome curve = run_program({"report", folder / "run"});
  CAPTURE(curve.err, curve.out);
  CHECK(curve.code == 0);
  for (const char* part : {"2 generations", "strategy cma", "generation ", "validation"})
    CHECK(curve.out.find(part) != std::string::npos);

  // nested deeper than can be copied by recursion
  const std::string deep = "{\"a\":" + std::string(100'000, '[');
  const std::string log = read(folder / "run/log.jsonl");
  write(folder / "run/log.jsonl", log + deep + "\n");
  check_refused(run_program({"report", folder / "run"}), 1, {"log.jsonl:", "must be a JSON object"});
  write(folder / "run/log.jsonl", log);
  write(folder / "run/checkpoint.json", deep);
  check_refused(run_program({"report", folder / "run"}), 1, {"checkpoint.json", "32 levels"});
}
