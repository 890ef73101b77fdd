#include "report/export.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "base/json_fields.hpp"
#include "eval/record_fields.hpp"
#include "report/means.hpp"
#include "report/retention.hpp"
#include "report/run_curve.hpp"

namespace namm::report {
namespace {

using nlohmann::json;

json kept_json(const ReportContent& content) {
  json out = json::array();
  for (const Retention& retention : retentions_of(content.details))
    for (const Retention::Task& task : retention.tasks)
      for (std::size_t kind = 0; kind < eval::kTokenKinds; ++kind)
        out.push_back({{"model", retention.model},
                       {"policy", retention.policy},
                       {"memory", retention.memory},
                       {"budget", retention.budget},
                       {"mode", retention.mode},
                       {"interval_tokens", retention.interval_tokens},
                       {"task", task.name},
                       {"kind", eval::kKindNames[kind]},
                       {"kept", task.kinds[kind].kept},
                       {"tokens", task.kinds[kind].tokens}});
  return out;
}

json points_json(const ReportContent& content) {
  json out = json::array();
  for (const auto& [name, checkpoint] : content.runs)
    for (const RunPoint& p : run_points(checkpoint))
      out.push_back({{"run", name},
                     {"generation", detail::number_or_null(p.generation)},
                     {"best", detail::number_or_null(p.best)},
                     {"mean", detail::number_or_null(p.mean)},
                     {"spread", detail::number_or_null(p.spread)},
                     {"step_size", detail::number_or_null(p.step_size)},
                     {"validation_mean", detail::number_or_null(p.validation_mean)},
                     {"validation_best", detail::number_or_null(p.validation_candidate)},
                     {"kept", detail::number_or_null(p.kept)}});
  return out;
}

/// Without its prompts, and with scores where scores can be: an interval may have been computed beyond.
json row_json(eval::ResultRecord record, std::size_t tables) {
  for (auto* const pair : {&record.quality_ci95, &record.exact_ci95})
    for (double& end : *pair)
      if (std::isfinite(end)) end = std::clamp(end, 0.0, 1.0);
  json out = eval::to_json(record);
  out.erase("prompts");
  out["tables"] = tables;
  return out;
}

/// The rows of the means of all models.
std::vector<json> mean_rows(const ReportContent& content) {
  std::vector<json> out;
  for (const ModelResults& model : models_of(content.records)) {
    const ResultMeans means = means_of(model.rows);
    if (means.tables < 2) continue;
    for (eval::ResultRecord record : means.rows) {
      record.task = "mean";
      record.samples = means.samples;
      record.independent = means.independent;
      json row = row_json(record, means.tables);
      row["length_tokens"] = nullptr;
      for (const char* differs : {"workers", "threads"})
        if (row[differs] == 0) row[differs] = nullptr;
      for (const char* differs : {"version", "commit"})
        if (row[differs] == "") row[differs] = nullptr;
      out.push_back(std::move(row));
    }
  }
  return out;
}

/// Text of a cell; quotes where the rules of the format want them.
std::string csv_cell(const json& value) {
  if (value.is_null()) return {};
  std::string text = value.is_string() ? value.get<std::string>() : value.dump(-1, ' ', false, json::error_handler_t::replace);
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) out.append(c == '"' ? 2 : 1, c);
  return out + "\"";
}

std::string csv_table(const std::vector<std::string>& head, const std::vector<json>& rows) {
  std::string out;
  for (std::size_t i = 0; i < head.size(); ++i) out.append(i > 0 ? "," : "").append(head[i]);
  out += "\r\n";
  for (const json& row : rows) {
    for (std::size_t i = 0; i < head.size(); ++i) {
      const auto found = row.find(head[i]);
      out.append(i > 0 ? "," : "").append(found == row.end() ? std::string() : csv_cell(*found));
    }
    out += "\r\n";
  }
  return out;
}

/// Columns of results: what was measured, then every number, the ends of its interval behind it.
std::vector<std::string> result_head() {
  std::vector<std::string> out = {"model", "architecture",    "seed",   "task",  "length_tokens", "tables",      "policy",
                                  "mode",  "interval_tokens", "budget", "store", "samples",       "independent", "cut_prompts"};
  for (const eval::RecordNumber& number : eval::record_numbers()) {
    out.emplace_back(number.name);
    for (const eval::RecordInterval& interval : eval::record_intervals())
      if (interval.around == number.field) {
        out.push_back(std::string(number.name) + "_low");
        out.push_back(std::string(number.name) + "_high");
      }
  }
  for (const char* name : {"peak_rss_bytes", "workers", "threads", "attachment", "memory", "settings", "version", "commit"})
    out.emplace_back(name);
  return out;
}

/// A row for result_head(): intervals as two cells.
json flat(json row) {
  for (const eval::RecordInterval& interval : eval::record_intervals())
    for (const eval::RecordNumber& number : eval::record_numbers())
      if (interval.around == number.field && row.contains(interval.name)) {
        row[std::string(number.name) + "_low"] = row[interval.name][0];
        row[std::string(number.name) + "_high"] = row[interval.name][1];
      }
  return row;
}

}  // namespace

json json_of(const ReportContent& content) {
  json out = json::object();
  if (!content.records.empty()) {
    out["results"] = json::array();
    for (const ModelResults& model : models_of(content.records))
      for (const eval::ResultRecord& record : model.rows) out["results"].push_back(row_json(record, 1));
    out["means"] = mean_rows(content);
  }
  if (!content.details.retentions.empty()) out["kept"] = kept_json(content);
  if (!content.runs.empty()) out["runs"] = points_json(content);
  return out;
}

std::string csv_of(const ReportContent& content) {
  const bool results = !content.records.empty(), details = !content.details.retentions.empty(), runs = !content.runs.empty();
  if (results + details + runs > 1)
    throw std::invalid_argument(
        "--format csv: must be of one kind of input, results, details or runs, is of several; give them one kind at a time, or "
        "choose json");
  if (runs)
    return csv_table({"run", "generation", "best", "mean", "spread", "step_size", "validation_mean", "validation_best", "kept"},
                     points_json(content).get<std::vector<json>>());
  if (details)
    return csv_table({"model", "policy", "memory", "budget", "mode", "interval_tokens", "task", "kind", "kept", "tokens"},
                     kept_json(content).get<std::vector<json>>());
  std::vector<json> rows;
  for (const ModelResults& model : models_of(content.records))
    for (const eval::ResultRecord& record : model.rows) rows.push_back(flat(row_json(record, 1)));
  for (json& row : mean_rows(content)) rows.push_back(flat(std::move(row)));
  return csv_table(result_head(), rows);
}

}  // namespace namm::report
