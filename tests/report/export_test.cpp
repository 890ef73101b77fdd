#include "report/export.hpp"

#include <algorithm>
#include <cmath>
#include <sstream>

#include "report/render.hpp"
#include "tests/check.hpp"
#include "tests/report/rows.hpp"

using namespace namm;
using namespace namm::report;

namespace {

ReportContent two_tables() {
  ReportContent out;
  for (const char* task : {"a", "b"})
    for (const char* policy : {"full", "mine,\"x\""}) {
      out.records.push_back(rows::row(policy, task, policy[0] == 'f' ? 1.0 : task[0] == 'a' ? 0.05 : 0.5));
      out.records.back().fidelity_kl = NAN;
    }
  return out;
}

/// Cells of a line of CSV, quotes taken off.
std::vector<std::string> cells(const std::string& line) {
  std::vector<std::string> out(1);
  bool quoted = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '"' && quoted && i + 1 < line.size() && line[i + 1] == '"')
      out.back() += line[i++];
    else if (line[i] == '"')
      quoted = !quoted;
    else if (line[i] == ',' && !quoted)
      out.emplace_back();
    else if (line[i] != '\r')
      out.back() += line[i];
  }
  return out;
}

}  // namespace

TEST_CASE("CSV has one head, a row per result, then the means, and scores where scores can be") {
  std::istringstream in(render(two_tables(), ReportFormat::csv));
  std::vector<std::vector<std::string>> table;
  for (std::string line; std::getline(in, line);) table.push_back(cells(line));
  REQUIRE(table.size() == 1 + 4 + 2);
  for (const auto& row : table) CHECK(row.size() == table.front().size());
  const auto at = [&](std::size_t row, const std::string& name) {
    const auto column = std::find(table[0].begin(), table[0].end(), name);
    REQUIRE(column != table[0].end());
    return table[row][static_cast<std::size_t>(column - table[0].begin())];
  };
  CHECK(at(2, "policy") == "mine,\"x\"");
  CHECK(std::stod(at(2, "quality")) == 0.05);
  CHECK(std::stod(at(2, "quality_low")) == 0);  // was computed as -0.05
  CHECK(at(2, "fidelity_kl").empty());
  CHECK(at(2, "tables") == "1");
  CHECK(at(6, "task") == "mean");
  CHECK(at(6, "tables") == "2");
  CHECK(std::stod(at(6, "quality")) == Approx(0.275));
}

TEST_CASE("JSON has results and means; CSV refuses what is of several kinds") {
  ReportContent content = two_tables();
  const nlohmann::json all = nlohmann::json::parse(render(content, ReportFormat::json));
  CHECK(all["results"].size() == 4);
  CHECK(all["means"].size() == 2);
  CHECK(all["results"][1]["policy"] == "mine,\"x\"");
  CHECK(all["results"][1]["quality_ci95"][0] == 0);
  CHECK_FALSE(all.contains("runs"));
  content.runs.emplace_back("run", evolve::Checkpoint());
  CHECK_THROWS_WITH(render(content, ReportFormat::csv), Contains("of one kind") && Contains("json"));
}

TEST_CASE("a mean counts the prompts cut in all tables, and says nothing where its tables differ") {
  ReportContent content = two_tables();
  for (eval::ResultRecord& r : content.records) {
    r.cut_prompts = r.task == "a" ? 1 : 3;
    r.peak_rss_bytes = r.task == "a" ? 500 : 400;
    r.workers = r.task == "a" ? 1 : 2;
    r.threads = 4;
    r.version = r.task == "a" ? "1.0" : "1.1";
  }
  const nlohmann::json mean = nlohmann::json::parse(render(content, ReportFormat::json))["means"][1];
  CHECK(mean["cut_prompts"] == 4);
  CHECK(mean["peak_rss_bytes"] == 500);
  CHECK(mean["workers"].is_null());
  CHECK(mean["threads"] == 4);
  CHECK(mean["version"].is_null());
}

TEST_CASE("what was kept says at which interval and by which memory") {
  ReportContent content;
  content.details.prompts.resize(1);
  content.details.prompts[0].pieces = {" a", " b"};
  content.details.prompts[0].kinds = "ww";
  for (const int interval : {16, 64}) {
    eval::RetentionDetails retention;
    retention.policy = "h2o";
    retention.task = "passkey";
    retention.budget = "50%";
    retention.memory = "3f4c";
    retention.interval_tokens = interval;
    retention.heads = {{0, 0, 1}};
    retention.kept_by = {1, 0};
    content.details.retentions.push_back(retention);
    content.details.prompt_of.push_back(0);
  }
  const nlohmann::json kept = nlohmann::json::parse(render(content, ReportFormat::json))["kept"];
  CHECK(kept.front()["interval_tokens"] == 16);
  CHECK(kept.back()["interval_tokens"] == 64);
  CHECK(kept.back()["memory"] == "3f4c");
  CHECK(
      render(content, ReportFormat::csv).rfind("model,policy,memory,budget,mode,interval_tokens,task,kind,kept,tokens\r\n", 0) ==
      0);
  CHECK_THAT(render(content, ReportFormat::text), Contains("interval") && Contains("64"));
  content.details.retentions[0].interval_tokens = 64;
  CHECK_THAT(render(content, ReportFormat::text), !Contains("interval"));
}

TEST_CASE("the ending of a file says its form") {
  CHECK(format_of_ending("x.csv") == ReportFormat::csv);
  CHECK(format_of_ending("x.tex") == ReportFormat::latex);
  CHECK(format_of_ending("x.json") == ReportFormat::json);
  CHECK(format_of_ending("x") == ReportFormat::text);
  CHECK_FALSE(format_of_ending("x.pdf").has_value());
  CHECK_THROWS_WITH(parse_report_format("pdf"), Contains("text, markdown, html, latex, csv or json") && Contains("\"pdf\""));
}
