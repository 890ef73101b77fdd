#include "report/summary.hpp"

#include <algorithm>
#include <cmath>
#include <ostream>
#include <tuple>

#include "base/format.hpp"
#include "report/digits.hpp"
#include "report/means.hpp"

namespace namm::report {
namespace {

std::string with_interval(const std::string& value, const double (&pair)[2], double unit, const char* format) {
  if (value == "-" || !std::isfinite(pair[0]) || !std::isfinite(pair[1])) return value;
  return value + " [" + format_number(format, unit * pair[0]) + ", " + format_number(format, unit * pair[1]) + "]";
}

/// As the tables below have it: a share in per cent.
std::string share_text(const eval::ResultRecord& r) {
  return with_interval(format_percent(r.quality_relative, r.quality_relative_ci95), r.quality_relative_ci95, 100, "%.0f");
}

std::string change_text(const eval::ResultRecord& r) {
  const double change = r.answer_log_likelihood_delta;
  if (!std::isfinite(change)) return "-";
  const std::string text = format_number("%+.2f", change);
  return with_interval(text == "-0.00" || text == "+0.00" ? "0.00" : text, r.answer_log_likelihood_delta_ci95, 1, "%+.2f");
}

/// Values of a field that differ, in the order in which they are met.
template <typename Value>
std::vector<Value> different(const ResultRows& rows, Value eval::ResultRecord::*field) {
  std::vector<Value> out;
  for (const eval::ResultRecord& r : rows)
    if (!is_full(r) && std::find(out.begin(), out.end(), r.*field) == out.end()) out.push_back(r.*field);
  return out;
}

/// What the others are compared with: all of its own quality, no change.
std::vector<std::string> full_row(std::size_t cells, int labels) {
  std::vector<std::string> out = {kFullPolicy};
  out.resize(1 + static_cast<std::size_t>(labels));
  while (out.size() < cells) {
    out.emplace_back("100 %");
    out.emplace_back("0");
  }
  return out;
}

void print_overview(std::ostream& out, const std::string& origin, const ResultMeans& means, TableFormat format) {
  const auto budgets = different(means.rows, &eval::ResultRecord::budget);
  const bool modes = different(means.rows, &eval::ResultRecord::mode).size() > 1;
  const bool intervals = different(means.rows, &eval::ResultRecord::interval_tokens).size() > 1;
  std::vector<std::string> head = {"policy"};
  if (modes) head.emplace_back("mode");
  if (intervals) head.emplace_back("interval");
  for (const std::string& budget : budgets)
    for (const char* name : {"of full", "dlogp"}) head.push_back(budget + " " + name);
  std::vector<std::vector<std::string>> rows;
  bool drops = false;
  for (const ResultRows& variant : grouped(
           means.rows, [](const eval::ResultRecord& r) { return std::tuple(r.policy, r.mode, r.interval_tokens, r.memory); })) {
    const eval::ResultRecord& first = variant.front();
    if (is_full(first)) {
      rows.insert(rows.begin(), full_row(head.size(), modes + intervals));
      continue;
    }
    drops = true;
    std::vector<std::string> row = {first.policy};
    if (modes) row.push_back(first.mode);
    if (intervals) row.push_back(std::to_string(first.interval_tokens));
    for (const std::string& budget : budgets) {
      const auto r =
          std::find_if(variant.begin(), variant.end(), [&](const eval::ResultRecord& v) { return v.budget == budget; });
      row.push_back(r == variant.end() ? "-" : share_text(*r));
      row.push_back(r == variant.end() ? "-" : change_text(*r));
    }
    rows.push_back(std::move(row));
  }
  if (!drops) return;
  print_heading(out,
                "overview: " + origin + ", " + std::to_string(means.tables) + (means.tables == 1 ? " table, " : " tables, ") +
                    count_text(means.samples, means.independent),
                format);
  print_table(out, head, rows, modes ? 2 : 1, format);
  out << '\n';
}

}  // namespace

void print_summary(std::ostream& out, std::span<const eval::ResultRecord> records, TableFormat format) {
  for (const ModelResults& model : models_of(records))
    if (const ResultMeans means = means_of(model.rows); !means.rows.empty()) print_overview(out, model.origin, means, format);
}

}  // namespace namm::report
