#include <cmath>
#include <cstdio>
#include <functional>
#include <limits>
#include <map>
#include <ostream>
#include <tuple>

#include "cli/console.hpp"
#include "cli/report_table.hpp"

namespace namm::cli {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

using Rows = std::vector<ResultRecord>;

std::string number(const char* format, double value) {
  if (!std::isfinite(value)) return "-";
  char text[64];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

std::string interval(const char* format, const double (&pair)[2]) {
  if (!std::isfinite(pair[0]) || !std::isfinite(pair[1])) return "-";
  return number(format, pair[0]) + " .. " + number(format, pair[1]);
}

bool is_full(const ResultRecord& r) {
  return r.policy == "full";
}

bool outside(double value, const double (&pair)[2]) {
  return std::isfinite(value) && (value < pair[0] || value > pair[1]);
}

void print_rows(std::ostream& out, const Rows& rows, TableFormat format) {
  double full = kNan;
  bool modes = false, intervals = false;
  for (const ResultRecord& r : rows) {
    if (is_full(r)) full = r.quality;
    modes = modes || !r.mode.empty();
  }
  for (const ResultRecord& r : rows)
    for (const ResultRecord& other : rows)
      intervals = intervals || (!is_full(r) && !is_full(other) && r.interval_tokens != other.interval_tokens);

  std::vector<std::string> head = {"policy"};
  if (modes) head.emplace_back("mode");
  if (intervals) head.emplace_back("interval");
  for (const char* name : {"budget", "quality", "95 %", "of full", "dlogp", "95 %", "KL", "logical", "physical", "KV peak",
                           "prefill t/s", "decode t/s"})
    head.emplace_back(name);
  std::vector<std::vector<std::string>> cells;
  bool marked = false;
  for (const ResultRecord& r : rows) {
    const bool quality_differs = !is_full(r) && outside(full, r.quality_ci95);
    const bool likelihood_differs = !is_full(r) && outside(0, r.answer_log_likelihood_delta_ci95);
    marked = marked || quality_differs || likelihood_differs;
    std::vector<std::string> row = {r.policy};
    if (modes) row.push_back(is_full(r) ? "" : r.mode);
    if (intervals) row.push_back(is_full(r) ? "" : std::to_string(r.interval_tokens));
    row.push_back(is_full(r) ? "-" : r.budget);
    row.push_back(number("%.3f", r.quality) + (quality_differs ? "*" : ""));
    row.push_back(interval("%.2f", r.quality_ci95));
    row.push_back(number("%.3f", r.quality_relative));
    row.push_back(number("%+.3f", r.answer_log_likelihood_delta) + (likelihood_differs ? "*" : ""));
    row.push_back(interval("%+.2f", r.answer_log_likelihood_delta_ci95));
    row.push_back(number("%.4f", r.fidelity_kl));
    row.push_back(number("%.1f %%", 100 * r.logical_saving));
    row.push_back(number("%.1f %%", 100 * r.physical_saving));
    row.push_back(std::isfinite(r.kv_bytes_peak) ? format_bytes(r.kv_bytes_peak) : "-");
    row.push_back(number("%.1f", r.prefill_tokens_per_second));
    row.push_back(number("%.1f", r.decode_tokens_per_second));
    cells.push_back(std::move(row));
  }
  print_table(out, head, cells, 1 + (modes ? 1u : 0u), format);
  if (marked) out << (format == TableFormat::markdown ? "\n\\" : "") << "* the full cache's value is outside the 95 % interval\n";
  out << '\n';
}

/// Mean over tables; intervals as if the tables were independent samples. Values that one of them lacks come from the others.
ResultRecord average(const Rows& rows) {
  ResultRecord out = rows.front();
  const auto mean_of = [&](const std::function<double(const ResultRecord&)>& value) {
    double sum = 0, count = 0;
    for (const ResultRecord& r : rows)
      if (std::isfinite(value(r))) sum += value(r), ++count;
    return count > 0 ? sum / count : kNan;
  };
  const auto mean_interval = [&](double middle, auto pair_of, double(&pair)[2]) {
    double squares = 0;
    for (const ResultRecord& r : rows) squares += std::pow((pair_of(r)[1] - pair_of(r)[0]) / 2, 2);
    const double half = std::sqrt(squares) / static_cast<double>(rows.size());
    pair[0] = middle - half;
    pair[1] = middle + half;
  };
  for (double ResultRecord::*field :
       {&ResultRecord::quality, &ResultRecord::quality_relative, &ResultRecord::answer_log_likelihood_delta,
        &ResultRecord::fidelity_kl, &ResultRecord::logical_saving, &ResultRecord::physical_saving, &ResultRecord::kv_bytes_peak,
        &ResultRecord::prefill_tokens_per_second, &ResultRecord::decode_tokens_per_second})
    out.*field = mean_of([field](const ResultRecord& r) { return r.*field; });
  mean_interval(
      out.quality, [](const ResultRecord& r) { return r.quality_ci95; }, out.quality_ci95);
  mean_interval(
      out.answer_log_likelihood_delta, [](const ResultRecord& r) { return r.answer_log_likelihood_delta_ci95; },
      out.answer_log_likelihood_delta_ci95);
  return out;
}

std::string origin(const ResultRecord& r) {
  return r.model + " (" + r.architecture + "), seed " + std::to_string(r.seed);
}

/// Groups in the order in which they are met.
template <typename Key>
std::vector<Rows> grouped(std::span<const ResultRecord> records, Key key) {
  std::vector<Rows> out;
  std::map<decltype(key(records.front())), std::size_t> places;
  for (const ResultRecord& r : records) {
    const auto [place, fresh] = places.emplace(key(r), out.size());
    if (fresh) out.emplace_back();
    out[place->second].push_back(r);
  }
  return out;
}

void print_model(std::ostream& out, const Rows& records, TableFormat format) {
  const auto tables = grouped(records, [](const ResultRecord& r) { return std::tuple(r.task, r.length_tokens); });
  for (const Rows& rows : tables) {
    const ResultRecord& r = rows.front();
    print_heading(
        out, r.task + ", " + std::to_string(r.length_tokens) + " tokens: " + origin(r) + ", n = " + std::to_string(r.samples),
        format);
    print_rows(out, rows, format);
  }
  if (tables.size() < 2) return;
  Rows means;
  std::int64_t samples = 0;
  std::size_t incomplete = 0;
  for (const Rows& rows : tables) samples += rows.front().samples;
  for (const Rows& rows : grouped(records, [](const ResultRecord& r) {
         return std::tuple(r.policy, is_full(r) ? "" : r.mode, is_full(r) ? "" : r.budget, is_full(r) ? 0 : r.interval_tokens);
       }))
    if (rows.size() == tables.size())  // a mean over other tables could not be compared
      means.push_back(average(rows));
    else
      ++incomplete;
  print_heading(out,
                "mean over the " + std::to_string(tables.size()) + " tables: " + origin(records.front()) +
                    ", n = " + std::to_string(samples),
                format);
  print_rows(out, means, format);
  if (incomplete > 0) out << incomplete << " rows that are not in every table are left out of the mean\n\n";
}

}  // namespace

void print_results(std::ostream& out, std::span<const ResultRecord> records, TableFormat format) {
  if (records.empty()) {
    out << "no results\n";
    return;
  }
  for (const Rows& rows : grouped(records, [](const ResultRecord& r) { return std::tuple(r.model, r.architecture, r.seed); }))
    print_model(out, rows, format);
}

}  // namespace namm::cli
