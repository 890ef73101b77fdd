#include "report/means.hpp"

#include <cmath>
#include <sstream>

#include "report/result_table.hpp"
#include "report/summary.hpp"
#include "tests/check.hpp"
#include "tests/report/rows.hpp"

using namespace namm::report;
using rows::row;

TEST_CASE("means: of two tables, with the interval of a mean of independent samples") {
  auto one = row("h2o", "passkey", 0.2, 0.1), other = row("h2o", "vt", 0.6, 0.3);
  one.fidelity_kl = 0.5;
  other.fidelity_kl = NAN;
  one.kv_bytes_peak = 1000;
  other.kv_bytes_peak = 3000;
  one.entries_final = 10;
  other.entries_final = 30;
  one.prefill_tokens_per_second = 100;
  other.prefill_tokens_per_second = 300;
  const ResultMeans means = means_of(ResultRows{one, other});
  CHECK(means.tables == 2);
  CHECK(means.samples == 40);
  CHECK(means.left_out == 0);
  REQUIRE(means.rows.size() == 1);
  const auto& mean = means.rows[0];
  const double half = std::sqrt(0.01 + 0.09) / 2;  // 0.158
  CHECK(mean.quality == Approx(0.4));
  CHECK(mean.quality_ci95[0] == Approx(0.4 - half));
  CHECK(mean.quality_ci95[1] == Approx(0.4 + half));
  CHECK(mean.quality_relative_ci95[1] == Approx(0.4 + half));
  CHECK(mean.answer_log_likelihood_delta == Approx(-0.6));
  CHECK(mean.answer_log_likelihood_delta_ci95[0] == Approx(-0.6 - half));
  CHECK(mean.fidelity_kl == 0.5);  // what one table lacks comes from the other
  CHECK(mean.kv_bytes_peak == 2000);
  CHECK(mean.entries_final == 20);
  CHECK(mean.prefill_tokens_per_second == 200);
}

TEST_CASE("means: uneven intervals count by their width, and an unknown end leaves the interval unknown") {
  auto one = row("h2o", "passkey", 0.2), other = row("h2o", "vt", 0.6);
  one.quality_ci95[0] = 0.1;  // half of 0.1 .. 0.5 is 0.2
  one.quality_ci95[1] = 0.5;
  other.quality_relative_ci95[0] = NAN;
  const auto mean = means_of(ResultRows{one, other}).rows.at(0);
  const double half = std::sqrt(0.2 * 0.2 + 0.1 * 0.1) / 2;
  CHECK(mean.quality_ci95[0] == Approx(0.4 - half));
  CHECK(mean.quality_relative == Approx(0.4));
  CHECK(std::isnan(mean.quality_relative_ci95[0]));
  CHECK(std::isnan(mean.quality_relative_ci95[1]));
}

TEST_CASE("means: only of rows that are in every table") {
  const ResultRows records = {row("full", "passkey", 1), row("h2o", "passkey", 0.5), row("tova", "passkey", 0.1),
                              row("full", "vt", 0.8), row("h2o", "vt", 0.7)};
  const ResultMeans means = means_of(records);
  REQUIRE(means.rows.size() == 2);
  CHECK(means.left_out == 1);
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
  auto half = row("h2o", "passkey", 0.8, 0.05);
  half.budget = "50%";
  std::ostringstream out;
  print_summary(out, ResultRows{row("full", "passkey", 1), row("h2o", "passkey", 0.4), half, row("tova", "passkey", 0.1)},
                TableFormat::text);
  const std::string text = out.str();
  CAPTURE(text);
  CHECK(text.find("overview: m.gguf (llama), seed 7, 1 table, n = 20") != std::string::npos);
  CHECK(text.find("0.40 [0.30, 0.50]  -0.60 [-0.70, -0.50]  0.80 [0.75, 0.85]  -0.20 [-0.25, -0.15]") != std::string::npos);
  CHECK(text.find("0.10 [0.00, 0.20]  -0.90 [-1.00, -0.80]                  -") != std::string::npos);
  CHECK(text.find("\nfull ") == std::string::npos);
}

TEST_CASE("result tables: a star where the full cache's value is outside the interval, a dash for what is unknown") {
  auto close = row("h2o", "passkey", 0.95);
  close.quality_ci95[1] = NAN;
  std::ostringstream out;
  print_results(out, ResultRows{row("full", "passkey", 1), row("tova", "passkey", 0.5), close}, TableFormat::markdown);
  const std::string text = out.str();
  CAPTURE(text);
  CHECK(text.find("0.500\\*") != std::string::npos);
  CHECK(text.find("0.950\\*") == std::string::npos);
  CHECK(text.find("| 0.40 .. 0.60 |") != std::string::npos);
  CHECK(text.find("|            - |") != std::string::npos);
}
