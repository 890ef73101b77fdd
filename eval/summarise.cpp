#include <vector>

#include "eval/comparison.hpp"
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

ResultRecord::Prompts prompts_of(std::span<const Measurement> rows, const std::vector<std::string>& units) {
  return {units, column(rows, [](const Measurement& m) { return m.score; }),
          column(rows, [](const Measurement& m) { return m.exact ? 1.0 : 0.0; }),
          column(rows, [](const Measurement& m) { return m.log_likelihood; })};
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

void summarise(std::span<const Measurement> measured, std::span<const Measurement> full, const std::vector<std::string>& units,
               ResultRecord& record) {
  record.samples = static_cast<std::int64_t>(measured.size());
  for (const RecordNumber& number : record_numbers())
    if (number.of != nullptr) record.*number.field = mean(column(measured, number.of));
  record.prompts = prompts_of(measured, units);
  const ResultRecord::Prompts beside = prompts_of(full, units);
  const ComparedPrompts table = {"", &record.prompts, full.empty() ? nullptr : &beside};
  compare({&table, 1}, record);
  record.prefill_tokens_per_second = rate(measured, &Measurement::prefill_tokens, &Measurement::prefill_seconds);
  record.decode_tokens_per_second = rate(measured, &Measurement::decode_tokens, &Measurement::decode_seconds);
}

}  // namespace namm::eval
