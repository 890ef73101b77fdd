#include "eval/record_fields.hpp"

#include "eval/evaluation.hpp"

namespace namm::eval {
namespace {

template <std::int64_t CacheUsage::*kField>
double usage(const Measurement& m) {
  return static_cast<double>(m.usage.*kField);
}

constexpr RecordNumber kRecordNumbers[] = {
    {"quality", &ResultRecord::quality, [](const Measurement& m) { return m.score; }},
    {"quality_change", &ResultRecord::quality_change},
    {"quality_change_p", &ResultRecord::quality_change_p},
    {"quality_relative", &ResultRecord::quality_relative},
    {"exact", &ResultRecord::exact, [](const Measurement& m) { return m.exact ? 1.0 : 0.0; }},
    {"answer_log_likelihood", &ResultRecord::answer_log_likelihood, [](const Measurement& m) { return m.log_likelihood; }},
    {"answer_log_likelihood_delta", &ResultRecord::answer_log_likelihood_delta},
    {"answer_log_likelihood_delta_p", &ResultRecord::answer_log_likelihood_delta_p},
    {"fidelity_kl", &ResultRecord::fidelity_kl, [](const Measurement& m) { return m.kl; }},
    {"logical_saving", &ResultRecord::logical_saving, [](const Measurement& m) { return m.usage.logical_saving(); }},
    {"physical_saving", &ResultRecord::physical_saving, [](const Measurement& m) { return m.usage.physical_saving(); }},
    {"kv_bytes_peak", &ResultRecord::kv_bytes_peak, usage<&CacheUsage::kv_bytes_peak>},
    {"kv_bytes_final", &ResultRecord::kv_bytes_final, usage<&CacheUsage::kv_bytes>},
    {"kv_bytes_full", &ResultRecord::kv_bytes_full, usage<&CacheUsage::kv_bytes_full>},
    {"statistics_bytes_peak", &ResultRecord::statistics_bytes_peak, usage<&CacheUsage::statistics_bytes_peak>},
    {"entries_final", &ResultRecord::entries_final, usage<&CacheUsage::entries>},
    {"entries_full", &ResultRecord::entries_full, usage<&CacheUsage::entries_full>},
    {"cells_final", &ResultRecord::cells_final, usage<&CacheUsage::cells>, true},
    {"cells_peak", &ResultRecord::cells_peak, usage<&CacheUsage::cells_peak>, true},
    {"cells_allocated", &ResultRecord::cells_allocated, usage<&CacheUsage::cells_allocated>, true},
    {"prefill_tokens_per_second", &ResultRecord::prefill_tokens_per_second},
    {"decode_tokens_per_second", &ResultRecord::decode_tokens_per_second}};

constexpr RecordInterval kRecordIntervals[] = {
    {"quality_ci95", &ResultRecord::quality_ci95, &ResultRecord::quality},
    {"quality_change_ci95", &ResultRecord::quality_change_ci95, &ResultRecord::quality_change},
    {"exact_ci95", &ResultRecord::exact_ci95, &ResultRecord::exact},
    {"quality_relative_ci95", &ResultRecord::quality_relative_ci95, &ResultRecord::quality_relative},
    {"answer_log_likelihood_delta_ci95", &ResultRecord::answer_log_likelihood_delta_ci95,
     &ResultRecord::answer_log_likelihood_delta}};

}  // namespace

std::span<const RecordNumber> record_numbers() {
  return kRecordNumbers;
}

std::span<const RecordInterval> record_intervals() {
  return kRecordIntervals;
}

}  // namespace namm::eval
