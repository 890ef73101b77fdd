#include "report/means.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <tuple>

#include "eval/comparison.hpp"
#include "eval/intervals.hpp"
#include "eval/record_fields.hpp"

namespace namm::report {
namespace {

/// Of what is known; NaN if nothing is.
double mean_of(const ResultRows& rows, double eval::ResultRecord::*field) {
  std::vector<double> known;
  for (const eval::ResultRecord& r : rows)
    if (std::isfinite(r.*field)) known.push_back(r.*field);
  return eval::mean(known);
}

template <typename Value>
void forget_unless_same(const ResultRows& rows, Value eval::ResultRecord::*field, eval::ResultRecord& out) {
  const auto same = [&](const eval::ResultRecord& r) { return r.*field == rows.front().*field; };
  if (!std::all_of(rows.begin(), rows.end(), same)) out.*field = Value();
}

/// What is no mean: counts, the largest, and what all have in common.
void gather_rest(const ResultRows& rows, eval::ResultRecord& out) {
  out.cut_prompts = 0;
  for (const eval::ResultRecord& r : rows) {
    out.cut_prompts += r.cut_prompts;
    out.peak_rss_bytes = std::max(out.peak_rss_bytes, r.peak_rss_bytes);
  }
  forget_unless_same(rows, &eval::ResultRecord::workers, out);
  forget_unless_same(rows, &eval::ResultRecord::threads, out);
  forget_unless_same(rows, &eval::ResultRecord::version, out);
  forget_unless_same(rows, &eval::ResultRecord::commit, out);
}

double mean_held_bytes(const ResultRows& rows) {
  std::vector<double> known;
  for (const eval::ResultRecord& r : rows)
    if (std::isfinite(held_bytes(r))) known.push_back(held_bytes(r));
  return eval::mean(known);
}

/// `full`: the full cache's row of each table, null where there is none.
eval::ResultRecord average(const ResultRows& rows, const std::vector<const eval::ResultRecord*>& full) {
  eval::ResultRecord out = rows.front();
  for (const eval::RecordNumber& number : eval::record_numbers()) out.*number.field = mean_of(rows, number.field);
  gather_rest(rows, out);
  std::vector<eval::ComparedPrompts> tables;
  double full_quality = 0;
  const eval::ResultRecord::Prompts unknown;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const eval::ResultRecord::Prompts* const beside = full[i] == nullptr ? &unknown : &full[i]->prompts;
    tables.push_back({rows[i].task, &rows[i].prompts, is_full(rows[i]) ? nullptr : beside});
    full_quality += (full[i] == nullptr ? eval::kNan : full[i]->quality) / static_cast<double>(rows.size());
  }
  out.quality_change = out.quality - full_quality;
  out.quality_relative = full_quality > 0 ? out.quality / full_quality : eval::kNan;
  eval::compare(tables, out);
  return out;
}

auto table_key(const eval::ResultRecord& r) {
  return std::tuple(r.task, r.length_tokens, r.samples);
}

auto variant_key(const eval::ResultRecord& r) {
  const bool full = is_full(r);
  const std::string none;
  return std::tuple(r.policy, full ? none : r.mode, full ? none : r.budget, full ? 0 : r.interval_tokens, full ? none : r.memory);
}

/// The full cache's row of the same table, or null.
const eval::ResultRecord* full_beside(const eval::ResultRecord& row, std::span<const eval::ResultRecord> records) {
  const auto found = std::find_if(records.begin(), records.end(),
                                  [&](const eval::ResultRecord& r) { return is_full(r) && table_key(r) == table_key(row); });
  return found == records.end() ? nullptr : &*found;
}

/// Of several records of one row, the last in the place of the first.
ResultRows measured_last(const ResultRows& rows) {
  ResultRows out;
  for (const ResultRows& same :
       grouped(rows, [](const eval::ResultRecord& r) { return std::tuple_cat(table_key(r), variant_key(r)); }))
    out.push_back(same.back());
  return out;
}

std::string model_text(const eval::ResultRecord& record) {
  return record.model + " (" + record.architecture + "), seed " + std::to_string(record.seed) +
         (record.attachment == "backend" ? "" : ", attachment " + record.attachment);
}

std::string json_text(const nlohmann::json& value) {
  return value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

/// "question after: no".
std::string setting_text(const nlohmann::json& settings, const std::string& name) {
  std::string label = name;
  std::replace(label.begin(), label.end(), '_', ' ');
  const auto found = settings.find(name);
  if (found == settings.end()) return label + ": not told";
  if (found->is_boolean()) return label + (found->get<bool>() ? ": yes" : ": no");
  return label + ": " + (found->is_string() ? found->get<std::string>() : json_text(*found));
}

/// Names of the settings that differ.
std::set<std::string> differences(const nlohmann::json& a, const nlohmann::json& b) {
  std::set<std::string> out;
  nlohmann::json both = a;
  both.update(b);
  for (const auto& [name, value] : both.items())
    if (!a.contains(name) || !b.contains(name) || a[name] != b[name]) out.insert(name);
  return out;
}

}  // namespace

bool is_full(const eval::ResultRecord& record) {
  return record.policy == kFullPolicy;
}

std::string length_text(std::int64_t tokens) {
  return tokens == 0 ? "whole contexts" : std::to_string(tokens) + " tokens";
}

std::string count_text(std::int64_t samples, std::int64_t independent) {
  const bool shared = independent > 0 && independent < samples;
  return "n = " + std::to_string(samples) + (shared ? " (" + std::to_string(independent) + " independent)" : "");
}

double held_bytes(const eval::ResultRecord& record) {
  return record.kv_bytes_full * (1 - record.physical_saving);
}

std::vector<ModelResults> models_of(std::span<const eval::ResultRecord> records) {
  std::vector<ModelResults> out;
  for (const ResultRows& rows :
       grouped(records, [](const eval::ResultRecord& r) { return std::tuple(model_text(r), json_text(r.settings)); }))
    out.push_back({model_text(rows.front()), measured_last(rows)});
  std::map<std::string, const nlohmann::json*> first;  // of each origin, its first group's settings
  std::map<std::string, std::set<std::string>> different;
  for (const ModelResults& one : out) {
    const nlohmann::json& settings = one.rows.front().settings;
    const auto [place, fresh] = first.emplace(one.origin, &settings);
    if (!fresh) different[one.origin].merge(differences(*place->second, settings));
  }
  for (ModelResults& one : out)
    if (const auto found = different.find(one.origin); found != different.end())
      for (const std::string& name : found->second) one.origin += ", " + setting_text(one.rows.front().settings, name);
  return out;
}

std::vector<ResultRows> tables_of(std::span<const eval::ResultRecord> records) {
  return grouped(records, table_key);
}

std::vector<ResultRows> variants_of(std::span<const eval::ResultRecord> records) {
  return grouped(records, variant_key);
}

ResultMeans means_of(std::span<const eval::ResultRecord> records) {
  ResultMeans out;
  const auto tables = tables_of(records);
  out.tables = tables.size();
  for (const ResultRows& rows : tables) out.samples += rows.front().samples;
  for (const ResultRows& rows : variants_of(records)) {
    if (tables_of(rows).size() < tables.size()) {
      out.left_out.push_back(rows.front().policy + (is_full(rows.front()) ? "" : " " + rows.front().budget));
      continue;
    }
    std::vector<const eval::ResultRecord*> full;
    for (const eval::ResultRecord& row : rows) full.push_back(full_beside(row, records));
    out.rows.push_back(average(rows, full));
    out.held_bytes.push_back(mean_held_bytes(rows));
    out.independent = std::max(out.independent, out.rows.back().independent);
  }
  return out;
}

}  // namespace namm::report
