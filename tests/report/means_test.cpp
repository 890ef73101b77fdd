#include "report/means.hpp"

#include <cmath>
#include <sstream>

#include "eval/estimates.hpp"
#include "report/result_table.hpp"
#include "report/summary.hpp"
#include "report/unlike.hpp"
#include "tests/check.hpp"
#include "tests/report/rows.hpp"

using namespace namm::report;
using rows::row;

namespace {

/// With prompts of these scores, whose log-likelihood is the score minus 1.
namm::eval::ResultRecord scored(const std::string& policy, const std::string& task, const std::vector<double>& scores) {
  auto out = row(policy, task, namm::eval::mean(scores));
  out.samples = static_cast<std::int64_t>(scores.size());
  for (std::size_t i = 0; i < scores.size(); ++i) {
    out.prompts.units.push_back(std::to_string(i));
    out.prompts.scores.push_back(scores[i]);
    out.prompts.exact.push_back(scores[i] == 1 ? 1 : 0);
    out.prompts.log_likelihoods.push_back(scores[i] - 1);
  }
  return out;
}

}  // namespace

TEST_CASE("means: of two tables, number by number, with the interval of all prompts") {
  auto one = scored("h2o", "passkey", {0.1, 0.2, 0.3}), other = scored("h2o", "vt", {0.4, 0.9, 0.5});
  one.fidelity_kl = 0.5;
  other.fidelity_kl = NAN;
  one.kv_bytes_peak = 1000;
  other.kv_bytes_peak = 3000;
  one.entries_final = 10;
  other.entries_final = 30;
  one.prefill_tokens_per_second = 100;
  other.prefill_tokens_per_second = 300;
  const auto full = scored("full", "passkey", {0.9, 1, 0.8}), full_other = scored("full", "vt", {0.6, 1, 0.8});
  const ResultMeans means = means_of(ResultRows{full, one, full_other, other});
  CHECK(means.tables == 2);
  CHECK(means.samples == 6);
  CHECK(means.left_out.empty());
  REQUIRE(means.rows.size() == 2);
  const auto& mean = means.rows[1];
  CHECK(mean.quality == Approx(0.4));
  CHECK(mean.quality_relative == Approx(0.4 / 0.85));
  CHECK(mean.quality_change == Approx(-0.45));
  CHECK(mean.answer_log_likelihood_delta == Approx(-0.45));
  CHECK(mean.independent == 6);  // two tasks: nothing is shared
  using namespace namm::eval;
  const std::vector<TableValues> tables = {{"passkey", one.prompts.units, one.prompts.scores, full.prompts.scores},
                                           {"vt", other.prompts.units, other.prompts.scores, full_other.prompts.scores}};
  CHECK(mean.quality_ci95[0] == score_of(tables).interval.low);
  CHECK(mean.quality_relative_ci95[1] == score_ratio_of(tables).interval.high);
  CHECK(mean.answer_log_likelihood_delta_ci95[0] == Approx(change_of(tables).interval.low));
  CHECK(mean.answer_log_likelihood_delta_p == Approx(change_of(tables).p_value));
  CHECK(mean.fidelity_kl == 0.5);  // what one table lacks comes from the other
  CHECK(mean.kv_bytes_peak == 2000);
  CHECK(mean.entries_final == 20);
  CHECK(mean.prefill_tokens_per_second == 200);
}

TEST_CASE("means: prompts of one task at two lengths are the same prompts") {
  auto shorter = scored("h2o", "passkey", {0.1, 0.2, 0.3, 0.9}), longer = shorter;
  auto full = scored("full", "passkey", {1, 1, 1, 1}), full_longer = full;
  longer.length_tokens = full_longer.length_tokens = 2000;
  const auto mean = means_of(ResultRows{full, shorter, full_longer, longer}).rows.at(1);
  CHECK(mean.independent == 4);
  const auto alone = means_of(ResultRows{full, shorter}).rows.at(1);
  CHECK(mean.quality_ci95[0] == Approx(alone.quality_ci95[0]));
  CHECK(mean.quality_ci95[1] == Approx(alone.quality_ci95[1]));
}

TEST_CASE("means: of full is a mean by a mean, and the rank is that of the scores") {
  // three tables in which the full cache gets 1, next to nothing and nothing
  const std::vector<double> none(4, 0), little(4, 0.02), all(4, 1);
  const auto table = [](const std::string& task, const std::vector<double>& full, double h2o, double other) {
    return ResultRows{scored("full", task, full), scored("h2o", task, std::vector<double>(4, h2o)),
                      scored("other", task, std::vector<double>(4, other))};
  };
  ResultRows records;
  for (const ResultRows& rows : {table("a", all, 0.5, 0.9), table("b", little, 0.06, 0.018), table("c", none, 0, 0)})
    records.insert(records.end(), rows.begin(), rows.end());
  const ResultMeans means = means_of(records);
  CHECK(means.tables == 3);
  CHECK(means.rows.at(1).quality_relative == Approx(0.56 / 1.02));
  CHECK(means.rows.at(2).quality_relative == Approx(0.918 / 1.02));
}

TEST_CASE("means: of records that do not hold their prompts there is no interval") {
  const auto mean =
      means_of(ResultRows{row("full", "passkey", 1), row("h2o", "passkey", 0.2), row("full", "vt", 0.8), row("h2o", "vt", 0.6)})
          .rows.at(1);
  CHECK(mean.quality == Approx(0.4));
  CHECK(mean.quality_relative == Approx(0.4 / 0.9));
  CHECK(std::isnan(mean.quality_ci95[0]));
  CHECK(std::isnan(mean.quality_relative_ci95[1]));
  CHECK(std::isnan(mean.answer_log_likelihood_delta_p));
}

TEST_CASE("means: only of rows that are in every table") {
  const ResultRows records = {row("full", "passkey", 1), row("h2o", "passkey", 0.5), row("tova", "passkey", 0.1),
                              row("full", "vt", 0.8), row("h2o", "vt", 0.7)};
  const ResultMeans means = means_of(records);
  REQUIRE(means.rows.size() == 2);
  CHECK(means.left_out == std::vector<std::string>{"tova 25%"});
  CHECK(means.rows[0].quality == Approx(0.9));
  CHECK(means.rows[1].quality == Approx(0.6));
}

TEST_CASE("means: rows of one name but another content, mode, budget or interval are not one row") {
  const auto plain = row("default", "passkey", 0.5);
  const auto changed = [&](auto change) {
    auto other = plain;
    change(other);
    return variants_of(ResultRows{plain, other}).size();
  };
  CHECK(variants_of(ResultRows{plain, plain}).size() == 1);
  CHECK(changed([](auto& r) { r.memory = "0123456789abcdef"; }) == 2);
  CHECK(changed([](auto& r) { r.mode = "pooled"; }) == 2);
  CHECK(changed([](auto& r) { r.budget = "50%"; }) == 2);
  CHECK(changed([](auto& r) { r.interval_tokens = 64; }) == 2);
  auto full = row("full", "passkey", 1), again = full;
  again.memory = "0123456789abcdef";  // the full cache is the full cache
  CHECK(variants_of(ResultRows{full, again}).size() == 1);
}

TEST_CASE("means: other settings, seeds and models are other tables, and what was measured again counts once") {
  auto first = row("h2o", "passkey", 0.5), again = row("h2o", "passkey", 0.7), other = row("h2o", "passkey", 0.1);
  other.settings = {{"question_after", false}};
  const auto models = models_of(ResultRows{first, other, again});
  REQUIRE(models.size() == 2);
  CHECK(models[0].rows.size() == 1);
  CHECK(models[0].rows[0].quality == 0.7);
  CHECK(models[0].origin == "m.gguf (llama), seed 7, question after: not told");
  CHECK(models[1].origin == "m.gguf (llama), seed 7, question after: no");
}

TEST_CASE("summary: a row per policy, per budget the share of the full cache's quality and the change, with intervals") {
  auto half = scored("h2o", "passkey", {0.9, 0.7, 0.8});
  half.budget = "50%";
  std::ostringstream out;
  print_summary(out,
                ResultRows{scored("full", "passkey", {1, 1, 1}), scored("h2o", "passkey", {0.5, 0.4, 0.3}), half,
                           scored("tova", "passkey", {0.1, 0, 0.2})},
                TableFormat::text);
  const std::string text = out.str();
  CAPTURE(text);
  CHECK(text.find("overview: m.gguf (llama), seed 7, 1 table, n = 3") != std::string::npos);
  CHECK(text.find("40 % [15, 65]  -0.60 [-0.85, -0.35]  80 % [55, 105]  -0.20 [-0.45, +0.05]") != std::string::npos);
  CHECK(text.find("10 % [0, 35]  -0.90 [-1.15, -0.65]               -") != std::string::npos);
  CHECK(text.find("\nfull ") != std::string::npos);  // what the others are compared with
}

TEST_CASE("result tables: a star where a paired test finds a difference, adjusted for the rows; a dash for what is unknown") {
  const auto with_p = [](const std::string& policy, double quality, double p, std::int64_t independent = 20) {
    auto out = row(policy, "passkey", quality);
    out.quality_change_p = p;
    out.independent = independent;
    return out;
  };
  auto unknown = with_p("tova", 0.7, 0.02);
  unknown.quality_ci95[1] = NAN;
  std::ostringstream out;
  print_results(out,
                ResultRows{row("full", "passkey", 1), with_p("h2o", 0.5, 0.012), unknown, with_p("knorm", 0.8, 0.03),
                           with_p("snapkv", 0.9, 0.7), with_p("few", 0.1, 1e-9, 9)},
                TableFormat::markdown);
  const std::string text = out.str();
  CAPTURE(text);
  CHECK(text.find("0.50\\*") != std::string::npos);  // 4 * 0.012 < 0.05
  CHECK(text.find("0.70\\*") == std::string::npos);  // 3 * 0.02 > 0.05
  CHECK(text.find("0.80\\*") == std::string::npos);
  CHECK(text.find("0.10\\*") == std::string::npos);  // nine prompts
  CHECK(text.find("| 0.40..0.60 |") != std::string::npos);
  CHECK(text.find("|          - |") != std::string::npos);
}

TEST_CASE("unlike policies are named by mode and interval; compressed once there is no interval") {
  auto one = row("h2o", "passkey", 0.5), other = row("mine", "passkey", 0.5);
  other.mode = "pooled";
  one.interval_tokens = other.interval_tokens = 512;
  CHECK(unlike_policies(ResultRows{row("full", "passkey", 1), one, other}) == "h2o uniform/512, mine pooled/512");
  one.interval_tokens = other.interval_tokens = 1 << 24;
  one.settings = other.settings = {{"compress", "once"}};
  CHECK(unlike_policies(ResultRows{one, other}) == "h2o uniform, mine pooled");
  CHECK(unlike_policies(ResultRows{one, one}).empty());
}

TEST_CASE("result tables: a saving below 0 is explained, once") {
  auto full = scored("full", "passkey", {1, 1, 1}), other = scored("full", "kv-recall", {1, 1, 1});
  const auto notes = [&] {
    std::ostringstream out;
    print_results(out, ResultRows{full, other}, TableFormat::text, false);
    std::size_t count = 0;
    for (std::size_t at = 0; (at = out.str().find("freed below 0 %", at)) != std::string::npos; ++at) ++count;
    return count;
  };
  full.physical_saving = other.physical_saving = 0;
  CHECK(notes() == 0);
  full.physical_saving = other.physical_saving = -0.25;
  CHECK(notes() == 1);
}
