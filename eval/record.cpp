#include "eval/record.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "base/json_fields.hpp"
#include "eval/intervals.hpp"
#include "eval/record_fields.hpp"

namespace namm::eval {
namespace {

using nlohmann::json;

/// Whole and within what a double holds exactly; 0 if absent.
std::int64_t whole(const detail::JsonFields& fields, const char* name) {
  const double value = fields.number_or_nan(name);
  if (std::isnan(value)) return 0;
  if (!(std::abs(value) < 9e15)) fields.refuse(name, "below 9e15");
  return static_cast<std::int64_t>(value);
}

/// The same from 0 to what an option holds, so that counts can be added up.
std::int64_t whole_count(const detail::JsonFields& fields, const char* name) {
  const std::int64_t value = whole(fields, name);
  if (value < 0 || value > std::numeric_limits<int>::max())
    fields.refuse(name, "from 0 to " + std::to_string(std::numeric_limits<int>::max()));
  return value;
}

/// Two ends; what is not there, or no number, is unknown.
void read_pair(const json& object, const char* name, double (&pair)[2]) {
  const auto found = object.find(name);
  pair[0] = pair[1] = kNan;
  if (found == object.end() || !found->is_array() || found->size() != 2) return;
  for (std::size_t i = 0; i < 2; ++i)
    if ((*found)[i].is_number()) pair[i] = (*found)[i].get<double>();
}

json prompts_json(const ResultRecord::Prompts& prompts) {
  const auto numbers = [](const std::vector<double>& values) {
    json out = json::array();
    for (const double v : values) out.push_back(detail::number_or_null(v));
    return out;
  };
  return {{"unit", prompts.units},
          {"score", numbers(prompts.scores)},
          {"exact", numbers(prompts.exact)},
          {"answer_log_likelihood", numbers(prompts.log_likelihoods)}};
}

/// Empty if absent. Throws if the lists are not of one length, one entry per prompt.
ResultRecord::Prompts read_prompts(const json& object, std::int64_t samples) {
  ResultRecord::Prompts out;
  const auto found = object.find("prompts");
  if (found == object.end()) return out;
  const auto refuse = [] {
    throw std::runtime_error("result: \"prompts\" must hold unit, score, exact and answer_log_likelihood of every prompt");
  };
  const auto list = [&](const char* name) {
    if (!found->is_object() || !found->contains(name) || !(*found)[name].is_array() ||
        (*found)[name].size() != static_cast<std::size_t>(samples))
      refuse();
    return (*found)[name];
  };
  for (const json& unit : list("unit")) {
    if (!unit.is_string()) refuse();
    out.units.push_back(unit.get<std::string>());
  }
  for (const auto& [name, values] :
       {std::pair("score", &out.scores), {"exact", &out.exact}, {"answer_log_likelihood", &out.log_likelihoods}})
    for (const json& value : list(name)) {
      if (!value.is_number() && !value.is_null()) refuse();
      values->push_back(value.is_null() ? kNan : value.get<double>());
      if (values != &out.log_likelihoods && !(values->back() >= 0 && values->back() <= 1))
        throw std::runtime_error(std::string("result: \"prompts\": ") + name + " must be from 0 to 1, is " + value.dump());
    }
  return out;
}

json pair_of(double low, double high) {
  return {detail::number_or_null(low), detail::number_or_null(high)};
}

}  // namespace

json to_json(const ResultRecord& r) {
  json out = {{"model", r.model},
              {"architecture", r.architecture},
              {"policy", r.policy},
              {"task", r.task},
              {"length_tokens", r.length_tokens},
              {"budget", r.budget},
              {"mode", r.mode},
              {"interval_tokens", r.interval_tokens},
              {"samples", r.samples},
              {"independent", r.independent},
              {"cut_prompts", r.cut_prompts},
              {"seed", r.seed},
              {"peak_rss_bytes", r.peak_rss_bytes},
              {"workers", r.workers},
              {"threads", r.threads},
              {"version", r.version},
              {"commit", r.commit},
              {"memory", r.memory},
              {"store", r.store},
              {"settings", r.settings},
              {"attachment", r.attachment}};
  for (const RecordNumber& number : record_numbers())
    if (!number.of_runtime || r.attachment == "callback") out[number.name] = detail::number_or_null(r.*number.field);
  for (const RecordInterval& interval : record_intervals())
    out[interval.name] = pair_of((r.*interval.field)[0], (r.*interval.field)[1]);
  if (!r.prompts.units.empty()) out["prompts"] = prompts_json(r.prompts);
  out["answer_nll_change"] = detail::number_or_null(-r.answer_log_likelihood_delta);
  out["answer_nll_change_ci95"] = pair_of(-r.answer_log_likelihood_delta_ci95[1], -r.answer_log_likelihood_delta_ci95[0]);
  return out;
}

ResultRecord record_from_json(const json& object) {
  if (!object.is_object()) throw std::runtime_error("result: a line must be a JSON object");
  const detail::JsonFields fields(object, "");
  ResultRecord r;
  r.model = fields.text("model");
  r.architecture = fields.text("architecture");
  r.policy = fields.text("policy");
  r.task = fields.text("task");
  r.budget = fields.text("budget");
  r.mode = fields.text_or_empty("mode");
  if (const std::string attachment = fields.text_or_empty("attachment"); !attachment.empty()) r.attachment = attachment;
  r.length_tokens = whole_count(fields, "length_tokens");
  r.samples = whole_count(fields, "samples");
  r.independent = whole_count(fields, "independent");
  r.cut_prompts = whole_count(fields, "cut_prompts");
  if (const auto seed = object.find("seed"); seed != object.end()) {
    if (!seed->is_number_unsigned()) fields.refuse("seed", "a number from 0 on");
    r.seed = seed->get<std::uint64_t>();
  }
  r.interval_tokens = static_cast<int>(std::clamp<std::int64_t>(whole(fields, "interval_tokens"), 0, 1 << 30));
  for (const RecordNumber& number : record_numbers()) r.*number.field = fields.number_or_nan(number.name);
  for (const RecordInterval& interval : record_intervals()) read_pair(object, interval.name, r.*interval.field);
  r.peak_rss_bytes = whole(fields, "peak_rss_bytes");
  r.version = fields.text_or_empty("version");
  r.commit = fields.text_or_empty("commit");
  r.memory = fields.text_or_empty("memory");
  r.prompts = read_prompts(object, r.samples);
  if (const auto settings = object.find("settings"); settings != object.end() && settings->is_object()) r.settings = *settings;
  r.settings.emplace("compress", "chunked");  // what there was before there was a choice
  r.settings.emplace("store", "f16");
  r.store = fields.has("store") ? fields.text("store") : r.settings.value("store", "f16");
  return r;
}

}  // namespace namm::eval
