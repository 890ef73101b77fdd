#include "report/verdict.hpp"

#include <cmath>

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

TEST_CASE("there is no verdict of a full cache alone, nor of what was not measured") {
  ReportContent content;
  CHECK_FALSE(verdict_of(content));
  content.records = {verdict_row("full", "none", 1, 0)};
  CHECK_FALSE(verdict_of(content));
  content.records.push_back(verdict_row("h2o", "25%", 0.9, NAN));
  CHECK_FALSE(verdict_of(content));
}
