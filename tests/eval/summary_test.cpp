#include <cmath>

#include "eval/evaluation.hpp"
#include "eval/intervals.hpp"
#include "tests/check.hpp"
#include "tests/eval/golden.hpp"

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
  summarise(measured, full, record);
  CHECK(record.samples == 8);
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
  summarise(measured, full, record);
  std::vector<double> scores, full_scores, differences;
  for (std::size_t i = 0; i < measured.size(); ++i) {
    scores.push_back(measured[i].score);
    full_scores.push_back(full[i].score);
    differences.push_back(measured[i].log_likelihood - full[i].log_likelihood);
  }
  const auto check = [](const double(&pair)[2], const Interval& expected) {
    CHECK(pair[0] == expected.low);
    CHECK(pair[1] == expected.high);
  };
  check(record.quality_ci95, bootstrap_ci95(scores));
  check(record.quality_relative_ci95, bootstrap_ratio_ci95(scores, full_scores));
  check(record.answer_log_likelihood_delta_ci95, bootstrap_ci95(differences));
}

TEST_CASE("summary: the full cache beside itself, and a full cache that answers nothing") {
  const nlohmann::json golden = golden::load("summary.json");
  const auto full = measurements(golden.at("full"));
  ResultRecord record;
  summarise(full, full, record);
  CHECK(record.quality_relative == 1);
  CHECK(record.quality_relative_ci95[0] == 1);
  CHECK(record.quality_relative_ci95[1] == 1);
  CHECK(record.answer_log_likelihood_delta == 0);
  CHECK(record.answer_log_likelihood_delta_ci95[1] == 0);
  CHECK(record.logical_saving == 0);

  auto silent = full;
  for (Measurement& m : silent) m.score = 0;
  summarise(full, silent, record);
  CHECK(std::isnan(record.quality_relative));
  CHECK(std::isnan(record.quality_relative_ci95[0]));
}
