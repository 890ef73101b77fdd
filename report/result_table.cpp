#include "report/result_table.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <ostream>
#include <set>
#include <tuple>

#include "base/format.hpp"
#include "report/digits.hpp"
#include "report/marks.hpp"
#include "report/means.hpp"
#include "report/unlike.hpp"

namespace namm::report {
namespace {

/// What a column shows of row `i` of the table.
struct Column {
  std::string head;
  std::function<std::string(std::size_t)> cell;
  bool decimals = false;  ///< numbers of several lengths behind the point, which is to stand below the others
};

/// Blanks behind shorter fractions, so that the points of a column stand below each other.
void align_points(std::vector<std::vector<std::string>>& cells, std::size_t column) {
  const auto behind = [&](const std::string& cell) { return cell.size() - std::min(cell.find('.'), cell.size()); };
  std::size_t most = 0;
  for (const auto& row : cells) most = std::max(most, behind(row[column]));
  for (auto& row : cells) row[column].append(most - behind(row[column]), ' ');
}

/// Whether rows of the table are told apart by this field alone.
template <typename Value>
bool tells_apart(const ResultRows& rows, Value eval::ResultRecord::*field) {
  std::map<std::tuple<std::string, std::string, std::string>, std::set<Value>> values;
  for (const eval::ResultRecord& r : rows)
    if (!is_full(r)) values[{r.policy, r.budget, r.memory}].insert(r.*field);
  return std::any_of(values.begin(), values.end(), [](const auto& one) { return one.second.size() > 1; });
}

bool any_interval(const ResultRows& rows, double (eval::ResultRecord::*interval)[2]) {
  return std::any_of(rows.begin(), rows.end(), [&](const eval::ResultRecord& r) { return std::isfinite((r.*interval)[0]); });
}

/// The columns of a table; `wide`: all of them.
std::vector<Column> columns_of(const ResultRows& rows, const std::vector<bool>& qualities, const std::vector<bool>& likelihoods,
                               bool wide) {
  constexpr double kInfinite = std::numeric_limits<double>::infinity();
  bool exact = false, modes = false, intervals = false, fewer_bits = false;
  const eval::ResultRecord* dropping = nullptr;  // the first of them
  for (const eval::ResultRecord& r : rows) {
    exact = exact || (std::isfinite(r.exact) && r.exact != r.quality);
    modes = modes || !r.mode.empty();
    fewer_bits = fewer_bits || r.store != "f16";
    if (is_full(r)) continue;
    if (dropping == nullptr) dropping = &r;
    intervals = intervals || r.interval_tokens != dropping->interval_tokens;
  }
  std::vector<Column> out;
  const auto add = [&](const char* head, auto cell, bool decimals = false) {
    out.push_back({head, [&rows, cell](std::size_t i) { return cell(rows[i], i); }, decimals});
  };
  using Row = eval::ResultRecord;
  const auto bytes = [](double value) { return std::isfinite(value) ? format_bytes(value) : "-"; };
  add("policy", [](const Row& r, std::size_t) { return r.policy; });
  if (wide ? modes : tells_apart(rows, &Row::mode))
    add("mode", [](const Row& r, std::size_t) { return is_full(r) ? "" : r.mode; });
  if (wide ? intervals : tells_apart(rows, &Row::interval_tokens))
    add("interval", [](const Row& r, std::size_t) { return is_full(r) ? "" : std::to_string(r.interval_tokens); });
  add("budget", [](const Row& r, std::size_t) { return is_full(r) ? "-" : r.budget; });
  if (fewer_bits) add("held as", [](const Row& r, std::size_t) { return r.store; });
  add(
      "quality",
      [qualities](const Row& r, std::size_t i) { return format_estimate(r.quality, r.quality_ci95) + (qualities[i] ? "*" : ""); },
      true);
  if (wide || any_interval(rows, &Row::quality_ci95))
    add("95 %", [](const Row& r, std::size_t) { return format_interval(r.quality_ci95, false, 0, 1); });
  if (wide && exact)
    add(
        "exact", [](const Row& r, std::size_t) { return format_estimate(r.exact, r.exact_ci95); }, true);
  add("of full", [](const Row& r, std::size_t) { return format_percent(r.quality_relative, r.quality_relative_ci95); });
  add(
      "dlogp",
      [likelihoods](const Row& r, std::size_t i) {
        if (is_full(r)) return std::string("0");
        return format_estimate(r.answer_log_likelihood_delta, r.answer_log_likelihood_delta_ci95, true) +
               (likelihoods[i] ? "*" : "");
      },
      true);
  if (wide || any_interval(rows, &Row::answer_log_likelihood_delta_ci95))
    add("95 %", [](const Row& r, std::size_t) {
      return is_full(r) ? "-" : format_interval(r.answer_log_likelihood_delta_ci95, true, -kInfinite, kInfinite);
    });
  if (wide) {
    add("KL", [](const Row& r, std::size_t) { return format_number("%.3f", r.fidelity_kl); });
    add("logical", [](const Row& r, std::size_t) { return format_percent(r.logical_saving); });
    add("physical", [](const Row& r, std::size_t) { return format_percent(r.physical_saving); });
  } else {
    add("freed", [](const Row& r, std::size_t) { return format_percent(r.physical_saving); });
  }
  if (wide) add("KV peak", [bytes](const Row& r, std::size_t) { return bytes(r.kv_bytes_peak); });
  if (wide) add("prefill t/s", [](const Row& r, std::size_t) { return format_rate(r.prefill_tokens_per_second); });
  add(wide ? "decode t/s" : "t/s", [](const Row& r, std::size_t) { return format_rate(r.decode_tokens_per_second); });
  return out;
}

void print_rows(std::ostream& out, const ResultRows& rows, TableFormat format, bool wide) {
  const std::vector<bool> qualities = differs_from_full(rows, &eval::ResultRecord::quality_change_p);
  const std::vector<bool> likelihoods = differs_from_full(rows, &eval::ResultRecord::answer_log_likelihood_delta_p);
  const std::vector<Column> columns = columns_of(rows, qualities, likelihoods, wide);
  std::vector<std::string> head;
  std::vector<std::vector<std::string>> cells(rows.size());
  std::size_t left = 0;
  for (const Column& column : columns) {
    left += column.head == "policy" || column.head == "mode" ? 1 : 0;
    head.push_back(column.head);
    for (std::size_t i = 0; i < rows.size(); ++i) cells[i].push_back(column.cell(i));
    if (column.decimals && format == TableFormat::text) align_points(cells, head.size() - 1);
  }
  print_table(out, head, cells, left, format, wide);
  const auto any = [](const std::vector<bool>& marks) { return std::find(marks.begin(), marks.end(), true) != marks.end(); };
  if (any(qualities) || any(likelihoods))
    print_note(out, "* differs from the full cache on the same prompts (paired test, 5 %, Holm over the rows)", format);
  out << '\n';
}

void print_unlike(std::ostream& out, const ModelResults& model, TableFormat format) {
  const std::string unlike = unlike_policies(model.rows);
  if (unlike.empty()) return;
  print_note(out, "not alike: " + unlike + " (mode/interval, a policy file's own); eval with --mode and --interval for all",
             format);
  out << '\n';
}

/// The mean first: it is what is looked for.
void print_means(std::ostream& out, const ModelResults& model, TableFormat format, bool wide) {
  const ResultMeans means = means_of(model.rows);
  print_heading(out,
                "mean over the " + std::to_string(means.tables) + " tables: " + model.origin + ", " +
                    count_text(means.samples, means.independent),
                format);
  print_rows(out, means.rows, format, wide);
  if (means.left_out.empty()) return;
  std::string names;
  for (const std::string& name : means.left_out) names += (names.empty() ? "" : ", ") + name;
  print_note(out, "not in every table and so left out of the mean: " + names, format);
  out << '\n';
}

void print_model(std::ostream& out, const ModelResults& model, TableFormat format, bool wide) {
  const auto tables = tables_of(model.rows);
  if (tables.size() > 1) print_means(out, model, format, wide);
  for (const ResultRows& rows : tables) {
    const eval::ResultRecord& r = rows.front();
    print_heading(
        out, r.task + ", " + length_text(r.length_tokens) + ": " + model.origin + ", " + count_text(r.samples, r.independent),
        format);
    print_rows(out, rows, format, wide);
  }
}

}  // namespace

void print_results(std::ostream& out, std::span<const eval::ResultRecord> records, TableFormat format, bool wide) {
  if (records.empty()) {
    out << "no results\n";
    return;
  }
  std::size_t shown = 0;
  for (const ModelResults& model : models_of(records)) {
    print_model(out, model, format, wide);
    print_unlike(out, model, format);
    shown += model.rows.size();
  }
  if (format == TableFormat::text && !wide)
    out << "freed: share of the cache's bytes, statistics counted; t/s: decoding; --wide has more columns\n\n";
  if (std::any_of(records.begin(), records.end(), [](const eval::ResultRecord& r) { return r.physical_saving < -0.005; })) {
    print_note(
        out,
        "freed below 0 %: memory is held in whole blocks of 64 tokens, and what is remembered for a policy is counted; of short "
        "prompts little can be dropped that would outweigh it (protected tokens never), of full nothing",
        format);
    out << '\n';
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
