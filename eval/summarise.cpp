#include <vector>

#include "eval/evaluation.hpp"
#include "eval/intervals.hpp"
#include "eval/record_fields.hpp"

namespace namm::eval {
namespace {

template <typename Value>
std::vector<double> column(std::span<const Measurement> rows, Value value) {
  std::vector<double> out;
  for (const Measurement& m : rows) out.push_back(value(m));
  return out;
}

void store(double (&pair)[2], const Interval& interval) {
  pair[0] = interval.low;
  pair[1] = interval.high;
}

double rate(std::span<const Measurement> rows, std::size_t Measurement::*tokens, double Measurement::*seconds) {
  double all_tokens = 0, all_seconds = 0;
  for (const Measurement& m : rows) {
    all_tokens += static_cast<double>(m.*tokens);
    all_seconds += m.*seconds;
  }
  return all_tokens / all_seconds;
}

}  // namespace

void summarise(std::span<const Measurement> measured, std::span<const Measurement> full, ResultRecord& record) {
  record.samples = static_cast<std::int64_t>(measured.size());
  for (const RecordNumber& number : record_numbers())
    if (number.of != nullptr) record.*number.field = mean(column(measured, number.of));

  const auto score = [](const Measurement& m) { return m.score; };
  const std::vector<double> scores = column(measured, score), full_scores = column(full, score);
  store(record.quality_ci95, bootstrap_ci95(scores));
  const double full_quality = mean(full_scores);
  record.quality_relative = full_quality > 0 ? record.quality / full_quality : kNan;
  store(record.quality_relative_ci95, bootstrap_ratio_ci95(scores, full_scores));

  std::vector<double> delta;
  for (std::size_t i = 0; i < measured.size(); ++i) delta.push_back(measured[i].log_likelihood - full[i].log_likelihood);
  record.answer_log_likelihood_delta = mean(delta);
  store(record.answer_log_likelihood_delta_ci95, bootstrap_ci95(delta));

  record.prefill_tokens_per_second = rate(measured, &Measurement::prefill_tokens, &Measurement::prefill_seconds);
  record.decode_tokens_per_second = rate(measured, &Measurement::decode_tokens, &Measurement::decode_seconds);
}

}  // namespace namm::eval
