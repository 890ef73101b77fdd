#include "eval/comparison.hpp"

#include <algorithm>
#include <vector>

#include "eval/estimates.hpp"

namespace namm::eval {
namespace {

using Values = std::vector<double> ResultRecord::Prompts::*;

void store(double (&pair)[2], const Interval& interval) {
  pair[0] = interval.low;
  pair[1] = interval.high;
}

std::vector<TableValues> values_of(std::span<const ComparedPrompts> tables, Values values) {
  std::vector<TableValues> out;
  for (const ComparedPrompts& table : tables)
    out.push_back({table.population, table.measured->units, table.measured->*values,
                   table.full == nullptr ? std::vector<double>() : table.full->*values});
  return out;
}

/// The full cache beside itself.
void compare_with_itself(ResultRecord& record) {
  record.quality_change = record.answer_log_likelihood_delta = 0;
  record.quality_relative = record.quality > 0 ? 1 : kNan;
  record.quality_change_p = record.answer_log_likelihood_delta_p = kNan;
  store(record.quality_change_ci95, {0, 0});
  store(record.answer_log_likelihood_delta_ci95, {0, 0});
  store(record.quality_relative_ci95, {record.quality_relative, record.quality_relative});
}

void compare_with_full(std::span<const ComparedPrompts> tables, ResultRecord& record) {
  const auto scores = values_of(tables, &ResultRecord::Prompts::scores);
  const Estimate change = score_change_of(scores), ratio = score_ratio_of(scores);
  record.quality_change = change.value;
  record.quality_change_p = change.p_value;
  store(record.quality_change_ci95, change.interval);
  record.quality_relative = ratio.value;
  store(record.quality_relative_ci95, ratio.interval);
  const Estimate delta = change_of(values_of(tables, &ResultRecord::Prompts::log_likelihoods));
  record.answer_log_likelihood_delta = delta.value;
  record.answer_log_likelihood_delta_p = delta.p_value;
  store(record.answer_log_likelihood_delta_ci95, delta.interval);
}

void forget_intervals(ResultRecord& record) {
  for (auto* const pair : {&record.quality_ci95, &record.exact_ci95, &record.quality_change_ci95, &record.quality_relative_ci95,
                           &record.answer_log_likelihood_delta_ci95})
    store(*pair, {});
  record.quality_change_p = record.answer_log_likelihood_delta_p = kNan;
}

bool is_known(const ComparedPrompts& table) {
  return !table.measured->units.empty() && (table.full == nullptr || table.full->units == table.measured->units);
}

}  // namespace

void compare(std::span<const ComparedPrompts> tables, ResultRecord& record) {
  record.independent = 0;
  forget_intervals(record);
  if (tables.empty() || !std::all_of(tables.begin(), tables.end(), is_known)) return;
  const Estimate scores = score_of(values_of(tables, &ResultRecord::Prompts::scores));
  const Estimate exact = score_of(values_of(tables, &ResultRecord::Prompts::exact));
  record.independent = static_cast<std::int64_t>(scores.units);
  record.quality = scores.value;
  record.exact = exact.value;
  store(record.quality_ci95, scores.interval);
  store(record.exact_ci95, exact.interval);
  if (tables.front().full == nullptr)
    compare_with_itself(record);
  else
    compare_with_full(tables, record);
}

}  // namespace namm::eval
