#include "report/result_table.hpp"

#include <algorithm>
#include <cmath>
#include <ostream>

#include "base/format.hpp"
#include "eval/intervals.hpp"
#include "report/means.hpp"
#include "report/unlike.hpp"

namespace namm::report {
namespace {

std::string interval(const char* format, const double (&pair)[2]) {
  if (!std::isfinite(pair[0]) || !std::isfinite(pair[1])) return "-";
  return format_number(format, pair[0]) + " .. " + format_number(format, pair[1]);
}

/// Fewer independent prompts than this carry no mark, whatever the test says.
constexpr std::int64_t kLeastForMark = 10;

/// Which rows differ from the full cache: paired tests, Holm over the rows of the table.
std::vector<bool> different(const ResultRows& rows, double eval::ResultRecord::*p_value) {
  std::vector<double> p_values;
  for (const eval::ResultRecord& r : rows)
    p_values.push_back(is_full(r) || r.independent < kLeastForMark ? eval::kNan : r.*p_value);
  std::vector<bool> out;
  for (const double p : eval::holm_adjusted(p_values)) out.push_back(p < 1 - eval::kCoverage);
  return out;
}

void print_rows(std::ostream& out, const ResultRows& rows, TableFormat format) {
  bool modes = false, intervals = false, exact = false;
  const eval::ResultRecord* dropping = nullptr;  // the first of them
  for (const eval::ResultRecord& r : rows) {
    exact = exact || (std::isfinite(r.exact) && r.exact != r.quality);
    modes = modes || !r.mode.empty();
    if (is_full(r)) continue;
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
  const std::vector<bool> qualities = different(rows, &eval::ResultRecord::quality_change_p);
  const std::vector<bool> likelihoods = different(rows, &eval::ResultRecord::answer_log_likelihood_delta_p);
  bool marked = false;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const eval::ResultRecord& r = rows[i];
    marked = marked || qualities[i] || likelihoods[i];
    std::vector<std::string> row = {r.policy};
    if (modes) row.push_back(is_full(r) ? "" : r.mode);
    if (intervals) row.push_back(is_full(r) ? "" : std::to_string(r.interval_tokens));
    row.push_back(is_full(r) ? "-" : r.budget);
    row.push_back(format_number("%.3f", r.quality) + (qualities[i] ? "*" : ""));
    row.push_back(interval("%.2f", r.quality_ci95));
    if (exact) row.push_back(format_number("%.3f", r.exact));
    row.push_back(format_number("%.3f", r.quality_relative));
    row.push_back(format_number("%+.3f", r.answer_log_likelihood_delta) + (likelihoods[i] ? "*" : ""));
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
  if (marked) print_note(out, "* differs from the full cache on the same prompts (paired test, 5 %, Holm over the rows)", format);
  out << '\n';
}

void print_unlike(std::ostream& out, const ModelResults& model, TableFormat format) {
  const std::string unlike = unlike_policies(model.rows);
  if (unlike.empty()) return;
  print_note(out, "not alike: " + unlike + " (mode/interval, a policy file's own); eval with --mode and --interval for all",
             format);
  out << '\n';
}

void print_model(std::ostream& out, const ModelResults& model, TableFormat format) {
  const auto tables = tables_of(model.rows);
  for (const ResultRows& rows : tables) {
    const eval::ResultRecord& r = rows.front();
    print_heading(
        out, r.task + ", " + length_text(r.length_tokens) + ": " + model.origin + ", " + count_text(r.samples, r.independent),
        format);
    print_rows(out, rows, format);
  }
  if (tables.size() < 2) return;
  const ResultMeans means = means_of(model.rows);
  print_heading(out,
                "mean over the " + std::to_string(means.tables) + " tables: " + model.origin + ", " +
                    count_text(means.samples, means.independent),
                format);
  print_rows(out, means.rows, format);
  if (!means.left_out.empty()) {
    std::string names;
    for (const std::string& name : means.left_out) names += (names.empty() ? "" : ", ") + name;
    print_note(out, "not in every table and so left out of the mean: " + names, format);
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
    print_unlike(out, model, format);
    shown += model.rows.size();
  }
  if (shown < records.size()) {
    print_note(out, "rows that were measured again and are shown as measured last: " + std::to_string(records.size() - shown),
               format);
    out << '\n';
  }
  const auto unknown = [](const eval::ResultRecord& r) { return r.prompts.units.empty(); };
  if (std::any_of(records.begin(), records.end(), unknown)) {
    print_note(
        out,
        "intervals of results that do not hold their prompts are an older version's (percentiles of a bootstrap): too narrow for "
        "few prompts",
        format);
    out << '\n';
  }
}

}  // namespace namm::report
