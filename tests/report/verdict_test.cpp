#include "report/verdict.hpp"

#include <cmath>
#include <tuple>

#include "report/charts.hpp"
#include "tests/check.hpp"
#include "tests/report/rows.hpp"

using namespace namm;
using namespace namm::report;

namespace {

eval::ResultRecord verdict_row(const std::string& policy, const std::string& budget, double quality, double saving) {
  eval::ResultRecord out = rows::row(policy, "passkey", quality, 0.02);
  out.budget = budget;
  out.physical_saving = saving;
  out.kv_bytes_full = 90 * 1024 * 1024;
  out.decode_tokens_per_second = policy == "full" ? 50 : 100;
  out.independent = 20;
  out.quality_change_p = 0.4;
  return out;
}

}  // namespace

TEST_CASE("the verdict is of the row that frees the most memory and keeps at least 95 % of the quality") {
  ReportContent content;
  content.records = {verdict_row("full", "none", 1, 0), verdict_row("h2o", "50%", 0.99, 0.5),
                     verdict_row("h2o", "25%", 0.96, 0.74), verdict_row("h2o", "12.5%", 0.6, 0.87),
                     verdict_row("random", "25%", 0.2, 0.75)};
  auto verdict = verdict_of(content);
  REQUIRE(verdict);
  CHECK(verdict->sentence ==
        "h2o at 25% frees 74 % of the cache's memory and keeps 96.0 % of the full cache's quality (not told apart from it by 20 "
        "independent prompts). The best of the others at that budget, random, keeps 20.0 %.");
  REQUIRE(verdict->numbers.size() == 3);
  CHECK(verdict->numbers[0].value == "−74 %");
  CHECK(verdict->numbers[0].beside == "23.4 MiB in place of 90.0 MiB, statistics counted");
  CHECK(verdict->numbers[1].value == "2.00 ×");
  CHECK(verdict->numbers[2].value == "96.0 %");
  CHECK_THAT(verdict->note, Contains("Of 4 rows, the one that frees the most and keeps at least 95 %"));

  content.from_file = {"random"};  // what was evolved or fitted is what one wants to know of
  verdict = verdict_of(content);
  REQUIRE(verdict);
  CHECK(verdict->sentence.rfind("random at 25% frees 75 %", 0) == 0);
  CHECK_THAT(verdict->note, Contains("None keeps 95 %"));
}

TEST_CASE("the verdict names its model where there are several, and marks what the tables mark") {
  ReportContent content;
  content.records = {verdict_row("full", "none", 1, 0), verdict_row("h2o", "25%", 0.96, 0.74),
                     verdict_row("tova", "25%", 0.5, 0.7)};
  content.records[1].quality_change_p = 0.03;  // of two rows: 0.06
  CHECK_THAT(verdict_of(content)->sentence, Contains("(not told apart from it"));
  CHECK_THAT(verdict_of(content)->sentence, !Contains("m.gguf"));
  content.records[1].quality_change_p = 0.02;
  CHECK_THAT(verdict_of(content)->sentence, Contains("(told apart from it"));
  for (const auto& record : {verdict_row("full", "none", 1, 0), verdict_row("h2o", "25%", 0.99, 0.8)}) {
    content.records.push_back(record);
    content.records.back().model = "other.gguf";
  }
  CHECK(verdict_of(content)->sentence.rfind("On m.gguf (llama), seed 7: h2o at 25% frees 74 %", 0) == 0);
  CHECK_THAT(verdict_of(content)->note, Contains("1 other model, seed or setting"));
}

TEST_CASE("the verdict's bytes are the mean of the bytes held, in the chart too, not the mean saving of the mean cache") {
  ReportContent content;
  for (const auto& [task, mebibytes, saving] : {std::tuple("a", 10, 0.5), std::tuple("b", 160, 0.74)})
    for (const char* policy : {"full", "h2o"}) {
      content.records.push_back(verdict_row(policy, policy[0] == 'f' ? "none" : "25%", 1, policy[0] == 'f' ? 0 : saving));
      content.records.back().task = task;
      content.records.back().kv_bytes_full = mebibytes * 1024.0 * 1024.0;
    }
  const auto verdict = verdict_of(content);
  REQUIRE(verdict);
  CHECK(verdict->numbers[0].value == "−62 %");
  CHECK(verdict->numbers[0].beside == "on average 23.3 MiB in place of 85.0 MiB, statistics counted");
  const LineStyles styles(content);
  const LineChart chart = quality_charts(content, styles).front();
  for (const ChartSeries& series : chart.series)
    if (series.label != "full") CHECK(series.points.front().x == Approx(23.3));
}

TEST_CASE("where the full cache has no quality the note says by what the row was chosen") {
  ReportContent content;
  content.records = {verdict_row("full", "none", 0, 0), verdict_row("h2o", "50%", 0.98, 0.5),
                     verdict_row("h2o", "25%", 0.5, 0.74)};
  for (auto& record : content.records) record.quality_relative = NAN;
  auto verdict = verdict_of(content);
  REQUIRE(verdict);
  CHECK(verdict->budget == "50%");
  CHECK_THAT(verdict->sentence, Contains("the log-likelihood of the answer changes by -0.02") || Contains("−0.02"));
  CHECK_THAT(verdict->note,
             Contains("loses at most 0.05 nat per token") && Contains("quality is 0 or unknown") && !Contains("95 %"));
  content.records.erase(content.records.begin() + 1);
  verdict = verdict_of(content);
  CHECK_THAT(verdict->note, Contains("None loses at most 0.05") && Contains("the one that loses the least") && !Contains("95 %"));
}

TEST_CASE("there is no verdict of a full cache alone, nor of what was not measured") {
  ReportContent content;
  CHECK_FALSE(verdict_of(content));
  content.records = {verdict_row("full", "none", 1, 0)};
  CHECK_FALSE(verdict_of(content));
  content.records.push_back(verdict_row("h2o", "25%", 0.9, NAN));
  CHECK_FALSE(verdict_of(content));
}
