#include <cmath>

#include "eval/estimates.hpp"
#include "eval/evaluation.hpp"
#include "tests/check.hpp"
#include "tests/eval/golden.hpp"
#include "tests/eval/units.hpp"

using namespace namm::eval;

namespace {

Measurement measurement_from(const nlohmann::json& json) {
  Measurement out;
  out.score = json.at("score");
  out.exact = json.at("exact");
  out.log_likelihood = json.at("log_likelihood");
  out.kl = json.at("kl");
  out.usage.entries = json.at("entries");
  out.usage.entries_full = json.at("entries_full");
  out.usage.kv_bytes = json.at("kv_bytes");
  out.usage.kv_bytes_peak = json.at("kv_bytes_peak");
  out.usage.kv_bytes_full = json.at("kv_bytes_full");
  out.usage.statistics_bytes = json.at("statistics_bytes");
  out.usage.statistics_bytes_peak = json.at("statistics_bytes_peak");
  out.usage.cells = json.at("cells");
  out.usage.cells_peak = json.at("cells_peak");
  out.usage.cells_allocated = json.at("cells_allocated");
  out.prefill_tokens = json.at("prefill_tokens");
  out.decode_tokens = json.at("decode_tokens");
  out.prefill_seconds = json.at("prefill_seconds");
  out.decode_seconds = json.at("decode_seconds");
  return out;
}

std::vector<Measurement> measurements(const nlohmann::json& rows) {
  std::vector<Measurement> out;
  for (const auto& row : rows) out.push_back(measurement_from(row));
  return out;
}

}  // namespace

TEST_CASE("summary: every mean and rate is numpy's") {
  const nlohmann::json golden = golden::load("summary.json");
  const auto measured = measurements(golden.at("measured")), full = measurements(golden.at("full"));
  ResultRecord record;
  record.attachment = "callback";  // so that the cells are in the file
  summarise(measured, full, numbered(8), record);
  CHECK(record.samples == 8);
  CHECK(record.independent == 8);
  const nlohmann::json written = to_json(record);
  for (const auto& [name, value] : golden.at("expected").items()) {
    CAPTURE(name);
    CHECK(written.at(name).get<double>() == Approx(value.get<double>()).epsilon(1e-12));
  }
}

TEST_CASE("summary: intervals are those of the prompts' scores, ratios and differences") {
  const nlohmann::json golden = golden::load("summary.json");
  const auto measured = measurements(golden.at("measured")), full = measurements(golden.at("full"));
  ResultRecord record;
  summarise(measured, full, numbered(8), record);
  TableValues scores{"", numbered(8), {}, {}}, likelihoods = scores;
  for (std::size_t i = 0; i < measured.size(); ++i) {
    scores.values.push_back(measured[i].score);
    scores.base.push_back(full[i].score);
    likelihoods.values.push_back(measured[i].log_likelihood);
    likelihoods.base.push_back(full[i].log_likelihood);
  }
  const auto check = [](const double(&pair)[2], const Estimate& expected) {
    CHECK(pair[0] == expected.interval.low);
    CHECK(pair[1] == expected.interval.high);
  };
  check(record.quality_ci95, score_of({{scores}}));
  check(record.quality_change_ci95, score_change_of({{scores}}));
  check(record.quality_relative_ci95, score_ratio_of({{scores}}));
  check(record.answer_log_likelihood_delta_ci95, change_of({{likelihoods}}));
  CHECK(record.quality_change_p == score_change_of({{scores}}).p_value);
  CHECK(record.answer_log_likelihood_delta_p == change_of({{likelihoods}}).p_value);
  CHECK(record.prompts.scores == scores.values);
}

TEST_CASE("summary: several questions on one document are not independent") {
  const nlohmann::json golden = golden::load("summary.json");
  const auto measured = measurements(golden.at("measured")), full = measurements(golden.at("full"));
  ResultRecord apart, together;
  summarise(measured, full, numbered(8), apart);
  summarise(measured, full, {"a", "a", "a", "a", "b", "b", "b", "b"}, together);
  CHECK(together.independent == 2);
  CHECK(together.samples == 8);
  CHECK(together.quality == Approx(apart.quality));
  CHECK(together.answer_log_likelihood_delta_ci95[1] - together.answer_log_likelihood_delta_ci95[0] >
        2 * (apart.answer_log_likelihood_delta_ci95[1] - apart.answer_log_likelihood_delta_ci95[0]));
}

TEST_CASE("summary: the full cache beside itself, and a full cache that answers nothing") {
  const nlohmann::json golden = golden::load("summary.json");
  const auto full = measurements(golden.at("full"));
  ResultRecord record;
  summarise(full, {}, numbered(8), record);
  CHECK(record.quality_relative == 1);
  CHECK(record.quality_relative_ci95[0] == 1);
  CHECK(record.quality_relative_ci95[1] == 1);
  CHECK(record.answer_log_likelihood_delta == 0);
  CHECK(record.answer_log_likelihood_delta_ci95[1] == 0);
  CHECK(std::isnan(record.quality_change_p));
  CHECK(record.logical_saving == 0);

  auto silent = full;
  for (Measurement& m : silent) m.score = 0;
  summarise(full, silent, numbered(8), record);
  CHECK(std::isnan(record.quality_relative));
  CHECK(std::isnan(record.quality_relative_ci95[0]));
  CHECK(record.quality_change > 0);
}
