#include "cli/result_means.hpp"

#include <cmath>
#include <functional>
#include <limits>
#include <tuple>

namespace namm::cli {
namespace {

ResultRecord average(const ResultRows& rows) {
  ResultRecord out = rows.front();
  const auto mean_of = [&](const std::function<double(const ResultRecord&)>& value) {
    double sum = 0, count = 0;
    for (const ResultRecord& r : rows)
      if (std::isfinite(value(r))) sum += value(r), ++count;
    return count > 0 ? sum / count : std::numeric_limits<double>::quiet_NaN();
  };
  using Pair = double(ResultRecord::*)[2];
  const auto mean_interval = [&](double middle, Pair pair) {
    double squares = 0;
    for (const ResultRecord& r : rows) squares += std::pow(((r.*pair)[1] - (r.*pair)[0]) / 2, 2);
    const double half = std::sqrt(squares) / static_cast<double>(rows.size());
    (out.*pair)[0] = middle - half;
    (out.*pair)[1] = middle + half;
  };
  for (double ResultRecord::*field :
       {&ResultRecord::quality, &ResultRecord::quality_relative, &ResultRecord::exact, &ResultRecord::answer_log_likelihood_delta,
        &ResultRecord::fidelity_kl, &ResultRecord::logical_saving, &ResultRecord::physical_saving, &ResultRecord::kv_bytes_peak,
        &ResultRecord::prefill_tokens_per_second, &ResultRecord::decode_tokens_per_second})
    out.*field = mean_of([field](const ResultRecord& r) { return r.*field; });
  mean_interval(out.quality, &ResultRecord::quality_ci95);
  mean_interval(out.quality_relative, &ResultRecord::quality_relative_ci95);
  mean_interval(out.answer_log_likelihood_delta, &ResultRecord::answer_log_likelihood_delta_ci95);
  return out;
}

}  // namespace

bool is_full(const ResultRecord& record) {
  return record.policy == "full";
}

std::string origin(const ResultRecord& record) {
  return record.model + " (" + record.architecture + "), seed " + std::to_string(record.seed) +
         (record.attachment == "backend" ? "" : ", attachment " + record.attachment);
}

std::vector<ResultRows> models_of(std::span<const ResultRecord> records) {
  return grouped(records, [](const ResultRecord& r) { return std::tuple(r.model, r.architecture, r.seed, r.attachment); });
}

std::vector<ResultRows> tables_of(std::span<const ResultRecord> records) {
  return grouped(records, [](const ResultRecord& r) { return std::tuple(r.task, r.length_tokens); });
}

std::vector<ResultRows> variants_of(std::span<const ResultRecord> records) {
  return grouped(records, [](const ResultRecord& r) {
    return std::tuple(r.policy, is_full(r) ? "" : r.mode, is_full(r) ? "" : r.budget, is_full(r) ? 0 : r.interval_tokens);
  });
}

ResultMeans means_of(std::span<const ResultRecord> records) {
  ResultMeans out;
  const auto tables = tables_of(records);
  out.tables = tables.size();
  for (const ResultRows& rows : tables) out.samples += rows.front().samples;
  for (const ResultRows& rows : variants_of(records))
    if (rows.size() == tables.size())
      out.rows.push_back(average(rows));
    else
      ++out.left_out;
  return out;
}

}  // namespace namm::cli
