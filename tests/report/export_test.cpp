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

TEST_CASE("the ending of a file says its form") {
  CHECK(format_of_ending("x.csv") == ReportFormat::csv);
  CHECK(format_of_ending("x.tex") == ReportFormat::latex);
  CHECK(format_of_ending("x.json") == ReportFormat::json);
  CHECK(format_of_ending("x") == ReportFormat::text);
  CHECK_FALSE(format_of_ending("x.pdf").has_value());
  CHECK_THROWS_WITH(parse_report_format("pdf"), Contains("text, markdown, html, latex, csv or json") && Contains("\"pdf\""));
}
