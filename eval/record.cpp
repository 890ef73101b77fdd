#include "eval/record.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

namespace namm::eval {
namespace {

using nlohmann::json;

json number(double value) {
  return std::isfinite(value) ? json(value) : json(nullptr);
}

double read_number(const json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end() || found->is_null()) return std::numeric_limits<double>::quiet_NaN();
  if (!found->is_number()) throw std::runtime_error(std::string("result: field \"") + name + "\" must be a number or null");
  return found->get<double>();
}

std::string read_text(const json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end() || !found->is_string())
    throw std::runtime_error(std::string("result: field \"") + name + "\" must be a text");
  return found->get<std::string>();
}

/// Whole and within what a double holds exactly; 0 if absent.
std::int64_t read_integer(const json& object, const char* name) {
  const double value = read_number(object, name);
  if (std::isnan(value)) return 0;
  if (!(std::abs(value) < 9e15)) throw std::runtime_error(std::string("result: field \"") + name + "\" must be below 9e15");
  return static_cast<std::int64_t>(value);
}

/// The same from 0 to what an option holds, so that counts can be added up.
std::int64_t read_count(const json& object, const char* name) {
  const std::int64_t value = read_integer(object, name);
  if (value < 0 || value > std::numeric_limits<int>::max())
    throw std::runtime_error(std::string("result: field \"") + name + "\" must be from 0 to " +
                             std::to_string(std::numeric_limits<int>::max()) + ", is " + std::to_string(value));
  return value;
}

std::string read_text_or_empty(const json& object, const char* name) {
  return object.contains(name) && !object[name].is_null() ? read_text(object, name) : std::string();
}

void read_pair(const json& object, const char* name, double* pair) {
  const auto found = object.find(name);
  pair[0] = pair[1] = std::numeric_limits<double>::quiet_NaN();
  if (found == object.end() || !found->is_array() || found->size() != 2) return;
  for (std::size_t i = 0; i < 2; ++i)
    if ((*found)[i].is_number()) pair[i] = (*found)[i].get<double>();
}

}  // namespace

json to_json(const ResultRecord& r) {
  const auto pair = [](double low, double high) { return json::array({number(low), number(high)}); };
  json out = {
      {"model", r.model},
      {"architecture", r.architecture},
      {"policy", r.policy},
      {"task", r.task},
      {"length_tokens", r.length_tokens},
      {"budget", r.budget},
      {"mode", r.mode},
      {"interval_tokens", r.interval_tokens},
      {"samples", r.samples},
      {"seed", r.seed},
      {"quality", number(r.quality)},
      {"quality_ci95", pair(r.quality_ci95[0], r.quality_ci95[1])},
      {"quality_relative", number(r.quality_relative)},
      {"quality_relative_ci95", pair(r.quality_relative_ci95[0], r.quality_relative_ci95[1])},
      {"exact", number(r.exact)},
      {"answer_log_likelihood", number(r.answer_log_likelihood)},
      {"answer_log_likelihood_delta", number(r.answer_log_likelihood_delta)},
      {"answer_log_likelihood_delta_ci95", pair(r.answer_log_likelihood_delta_ci95[0], r.answer_log_likelihood_delta_ci95[1])},
      {"answer_nll_change", number(-r.answer_log_likelihood_delta)},
      {"answer_nll_change_ci95", pair(-r.answer_log_likelihood_delta_ci95[1], -r.answer_log_likelihood_delta_ci95[0])},
      {"fidelity_kl", number(r.fidelity_kl)},
      {"logical_saving", number(r.logical_saving)},
      {"physical_saving", number(r.physical_saving)},
      {"kv_bytes_peak", number(r.kv_bytes_peak)},
      {"kv_bytes_final", number(r.kv_bytes_final)},
      {"kv_bytes_full", number(r.kv_bytes_full)},
      {"statistics_bytes_peak", number(r.statistics_bytes_peak)},
      {"entries_final", number(r.entries_final)},
      {"entries_full", number(r.entries_full)},
      {"peak_rss_bytes", r.peak_rss_bytes},
      {"prefill_tokens_per_second", number(r.prefill_tokens_per_second)},
      {"decode_tokens_per_second", number(r.decode_tokens_per_second)},
      {"workers", r.workers},
      {"threads", r.threads},
      {"version", r.version},
      {"commit", r.commit},
      {"memory", r.memory},
      {"settings", r.settings},
      {"attachment", r.attachment}};
  if (r.attachment == "callback")
    out.update({{"cells_final", number(r.cells_final)},
                {"cells_peak", number(r.cells_peak)},
                {"cells_allocated", number(r.cells_allocated)}});
  return out;
}

ResultRecord record_from_json(const json& object) {
  if (!object.is_object()) throw std::runtime_error("result: a line must be a JSON object");
  ResultRecord r;
  r.model = read_text(object, "model");
  r.architecture = read_text(object, "architecture");
  r.policy = read_text(object, "policy");
  r.task = read_text(object, "task");
  r.budget = read_text(object, "budget");
  r.mode = read_text_or_empty(object, "mode");
  if (const std::string attachment = read_text_or_empty(object, "attachment"); !attachment.empty()) r.attachment = attachment;
  r.length_tokens = read_count(object, "length_tokens");
  r.samples = read_count(object, "samples");
  if (const auto seed = object.find("seed"); seed != object.end() && seed->is_number_unsigned())
    r.seed = seed->get<std::uint64_t>();
  r.interval_tokens = static_cast<int>(std::clamp<std::int64_t>(read_integer(object, "interval_tokens"), 0, 1 << 30));
  r.quality = read_number(object, "quality");
  read_pair(object, "quality_ci95", r.quality_ci95);
  r.quality_relative = read_number(object, "quality_relative");
  read_pair(object, "quality_relative_ci95", r.quality_relative_ci95);
  r.exact = read_number(object, "exact");
  r.answer_log_likelihood = read_number(object, "answer_log_likelihood");
  r.answer_log_likelihood_delta = read_number(object, "answer_log_likelihood_delta");
  read_pair(object, "answer_log_likelihood_delta_ci95", r.answer_log_likelihood_delta_ci95);
  r.fidelity_kl = read_number(object, "fidelity_kl");
  r.logical_saving = read_number(object, "logical_saving");
  r.physical_saving = read_number(object, "physical_saving");
  r.kv_bytes_peak = read_number(object, "kv_bytes_peak");
  r.kv_bytes_final = read_number(object, "kv_bytes_final");
  r.kv_bytes_full = read_number(object, "kv_bytes_full");
  r.statistics_bytes_peak = read_number(object, "statistics_bytes_peak");
  r.entries_final = read_number(object, "entries_final");
  r.entries_full = read_number(object, "entries_full");
  r.cells_final = read_number(object, "cells_final");
  r.cells_peak = read_number(object, "cells_peak");
  r.cells_allocated = read_number(object, "cells_allocated");
  r.prefill_tokens_per_second = read_number(object, "prefill_tokens_per_second");
  r.decode_tokens_per_second = read_number(object, "decode_tokens_per_second");
  r.peak_rss_bytes = read_integer(object, "peak_rss_bytes");
  r.version = read_text_or_empty(object, "version");
  r.commit = read_text_or_empty(object, "commit");
  r.memory = read_text_or_empty(object, "memory");
  if (const auto settings = object.find("settings"); settings != object.end() && settings->is_object()) r.settings = *settings;
  return r;
}

}  // namespace namm::eval
