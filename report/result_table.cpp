#include "report/result_table.hpp"

#include <cmath>
#include <ostream>

#include "base/format.hpp"
#include "eval/intervals.hpp"
#include "report/means.hpp"

namespace namm::report {
namespace {

std::string interval(const char* format, const double (&pair)[2]) {
  if (!std::isfinite(pair[0]) || !std::isfinite(pair[1])) return "-";
  return format_number(format, pair[0]) + " .. " + format_number(format, pair[1]);
}

bool outside(double value, const double (&pair)[2]) {
  return std::isfinite(value) && (value < pair[0] || value > pair[1]);
}

void print_rows(std::ostream& out, const ResultRows& rows, TableFormat format) {
  double full = eval::kNan;
  bool modes = false, intervals = false, exact = false;
  const eval::ResultRecord* dropping = nullptr;  // the first of them
  for (const eval::ResultRecord& r : rows) {
    exact = exact || (std::isfinite(r.exact) && r.exact != r.quality);
    modes = modes || !r.mode.empty();
    if (is_full(r)) {
      full = r.quality;
      continue;
    }
    if (dropping == nullptr) dropping = &r;
    intervals = intervals || r.interval_tokens != dropping->interval_tokens;
  }

  std::vector<std::string> head = {"policy"};
  if (modes) head.emplace_back("mode");
  if (intervals) head.emplace_back("interval");
  for (const char* name : {"budget", "quality", "95 %"}) head.emplace_back(name);
  if (exact) head.emplace_back("exact");
  for (const char* name : {"of full", "dlogp", "95 %", "KL", "logical", "physical", "KV peak", "prefill t/s", "decode t/s"})
    head.emplace_back(name);
  std::vector<std::vector<std::string>> cells;
  bool marked = false;
  for (const eval::ResultRecord& r : rows) {
    const bool quality_differs = !is_full(r) && outside(full, r.quality_ci95);
    const bool likelihood_differs = !is_full(r) && outside(0, r.answer_log_likelihood_delta_ci95);
    marked = marked || quality_differs || likelihood_differs;
    std::vector<std::string> row = {r.policy};
    if (modes) row.push_back(is_full(r) ? "" : r.mode);
    if (intervals) row.push_back(is_full(r) ? "" : std::to_string(r.interval_tokens));
    row.push_back(is_full(r) ? "-" : r.budget);
    row.push_back(format_number("%.3f", r.quality) + (quality_differs ? "*" : ""));
    row.push_back(interval("%.2f", r.quality_ci95));
    if (exact) row.push_back(format_number("%.3f", r.exact));
    row.push_back(format_number("%.3f", r.quality_relative));
    row.push_back(format_number("%+.3f", r.answer_log_likelihood_delta) + (likelihood_differs ? "*" : ""));
    row.push_back(interval("%+.2f", r.answer_log_likelihood_delta_ci95));
    row.push_back(format_number("%.4f", r.fidelity_kl));
    row.push_back(format_number("%.1f %%", 100 * r.logical_saving));
    row.push_back(format_number("%.1f %%", 100 * r.physical_saving));
    row.push_back(std::isfinite(r.kv_bytes_peak) ? format_bytes(r.kv_bytes_peak) : "-");
    row.push_back(format_number("%.1f", r.prefill_tokens_per_second));
    row.push_back(format_number("%.1f", r.decode_tokens_per_second));
    cells.push_back(std::move(row));
  }
  print_table(out, head, cells, 1 + (modes ? 1u : 0u), format);
  if (marked) print_note(out, "* the full cache's value is outside the 95 % interval", format);
  out << '\n';
}

void print_model(std::ostream& out, const ModelResults& model, TableFormat format) {
  const auto tables = tables_of(model.rows);
  for (const ResultRows& rows : tables) {
    const eval::ResultRecord& r = rows.front();
    print_heading(
        out, r.task + ", " + std::to_string(r.length_tokens) + " tokens: " + model.origin + ", n = " + std::to_string(r.samples),
        format);
    print_rows(out, rows, format);
  }
  if (tables.size() < 2) return;
  const ResultMeans means = means_of(model.rows);
  print_heading(
      out,
      "mean over the " + std::to_string(means.tables) + " tables: " + model.origin + ", n = " + std::to_string(means.samples),
      format);
  print_rows(out, means.rows, format);
  if (means.left_out > 0) {
    print_note(out, std::to_string(means.left_out) + " rows that are not in every table are left out of the mean", format);
    out << '\n';
  }
}

}  // namespace

void print_results(std::ostream& out, std::span<const eval::ResultRecord> records, TableFormat format) {
  if (records.empty()) {
    out << "no results\n";
    return;
  }
  std::size_t shown = 0;
  for (const ModelResults& model : models_of(records)) {
    print_model(out, model, format);
    shown += model.rows.size();
  }
  if (shown < records.size()) {
    print_note(out, "rows that were measured again and are shown as measured last: " + std::to_string(records.size() - shown),
               format);
    out << '\n';
  }
}

}  // namespace namm::report
