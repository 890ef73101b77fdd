#include <algorithm>
#include <set>
#include <sstream>

#include <nlohmann/json.hpp>

#include "tests/cli/program.hpp"

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

TEST_CASE("results become a table per task and one over them, with marks where full is outside the interval") {
  const Folder folder;
  write(folder / "results.jsonl", two_tasks());
  const Outcome outcome = run_program({"report", folder / "results.jsonl"});
  CAPTURE(outcome.err, outcome.out);
  REQUIRE(outcome.code == 0);
  for (const char* part :
       {"passkey, 512 tokens: m.gguf (llama), seed 7, n = 20", "mean over the 2 tables", "n = 40", "0.200*", "75.0 %", "1.0 MiB"})
    CHECK(outcome.out.find(part) != std::string::npos);
  CHECK(outcome.out.find("0.850*") == std::string::npos);  // 0.9 is inside 0.75 .. 0.95
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
  json no_model = record("h2o", "passkey", 0.5), text_quality = no_model, huge = no_model;
  no_model.erase("model");
  text_quality["quality"] = "high";
  huge["samples"] = 1e300;
  const std::vector<std::pair<std::string, std::string>> bad = {
      {"{\"model\": ", "cut off"},      {"[1, 2]", "JSON object"}, {no_model.dump(), "model"},
      {text_quality.dump(), "quality"}, {huge.dump(), "samples"},  {std::string(5000, '['), "32 levels"},
      {"\x01\x02\xff", "JSON"}};
  for (const auto& [line, reason] : bad) {
    CAPTURE(line.substr(0, 60));
    write(file, good + line + "\n" + good);
    check_refused(run_program({"report", file, "--output", folder / "report.txt"}), 1, {"results.jsonl:2:", reason});
  }
  CHECK(folder.names() == std::vector<std::string>{"results.jsonl"});
  write(file, "\n\n");
  check_refused(run_program({"report", file}), 1, {"results.jsonl", "is empty"});
  check_refused(run_program({"report", folder / "missing.jsonl"}), 1, {"missing.jsonl", "does not exist"});
  check_refused(run_program({"report", folder.path().string()}), 1, {"checkpoint.json"});
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
}
