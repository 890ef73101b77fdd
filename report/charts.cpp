#include "report/charts.hpp"

#include <algorithm>
#include <cmath>

#include "base/format.hpp"
#include "report/means.hpp"
#include "report/run_curve.hpp"

namespace namm::report {
namespace {

ChartSeries& series_of(LineChart& chart, const LineStyles& styles, const std::string& label) {
  for (ChartSeries& series : chart.series)
    if (series.label == label) return series;
  chart.series.push_back({label, styles.style(label), styles.strong(label), {}});
  return chart.series.back();
}

constexpr double kMebibyte = 1024.0 * 1024.0;

/// Whether all rows say how many bytes they held: those of before did not.
bool knows_bytes(const ResultRows& rows) {
  return std::all_of(rows.begin(), rows.end(), [](const eval::ResultRecord& r) {
    return std::isfinite(r.kv_bytes_full) && r.kv_bytes_full > 0 && std::isfinite(r.physical_saving) && r.physical_saving < 1;
  });
}

std::vector<double> held_bytes_of(const ResultRows& rows) {
  std::vector<double> out;
  for (const eval::ResultRecord& r : rows) out.push_back(held_bytes(r));
  return out;
}

/// One chart of a table: `value` with its interval over the bytes that each row held, or else over the share of entries kept.
LineChart chart_of(const ResultRows& rows, const std::vector<double>& held, const std::string& title, const char* y_label,
                   double eval::ResultRecord::*value, double (eval::ResultRecord::*interval)[2], const LineStyles& styles) {
  const bool bytes = knows_bytes(rows);
  double most = 0;
  for (const eval::ResultRecord& r : rows) most = std::max(most, r.kv_bytes_full);
  const bool large = most >= 4 * kMebibyte;
  const double unit = large ? kMebibyte : 1024.0;
  const char* const memory =
      large ? "memory of the cache with all statistics, MiB" : "memory of the cache with all statistics, KiB";
  LineChart chart{title, bytes ? memory : "share of the cache kept", y_label};
  chart.x_scale = LineChart::Scale::log2;
  chart.x_percent = !bytes;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const eval::ResultRecord& r = rows[i];
    const double place = bytes ? held[i] / unit : 1 - r.logical_saving;
    if (is_full(r)) {
      chart.level = r.*value;
      chart.level_label = "full cache";
      if (bytes)
        chart.series.push_back({kFullPolicy, kFullStyle, false, {{place, r.*value, (r.*interval)[0], (r.*interval)[1], ""}}});
      continue;
    }
    const double low = (r.*interval)[0], high = (r.*interval)[1];
    std::string tip = "budget " + r.budget + ": " + format_number("%.3f", r.*value);
    if (std::isfinite(low) && std::isfinite(high))
      tip += " [" + format_number("%.3f", low) + ", " + format_number("%.3f", high) + "]";
    series_of(chart, styles, styles.label(r.policy, r.mode, r.interval_tokens))
        .points.push_back({place, r.*value, low, high, tip});
  }
  for (ChartSeries& series : chart.series)
    std::sort(series.points.begin(), series.points.end(), [](const auto& a, const auto& b) { return a.x < b.x; });
  return chart;
}

}  // namespace

LineStyles::LineStyles(const ReportContent& content) {
  std::set<std::string> modes;
  std::set<int> intervals;
  const auto look = [&](const auto& item) {
    if (item.policy == kFullPolicy) return;
    modes.insert(item.mode);
    intervals.insert(item.interval_tokens);
  };
  std::for_each(content.records.begin(), content.records.end(), look);
  std::for_each(content.details.retentions.begin(), content.details.retentions.end(), look);
  modes_ = modes.size() > 1;
  intervals_ = intervals.size() > 1;
  bool files = true;
  const auto add = [&](const auto& item) {
    if (item.policy == kFullPolicy || content.from_file.contains(item.policy) != files) return;
    const std::string name = label(item.policy, item.mode, item.interval_tokens);
    if (styles_.emplace(name, labels_.size()).second) labels_.push_back(name);
    if (files) strong_.insert(name);
  };
  for (const bool now : {true, false}) {  // those from files first: they get the colours that nobody else has
    files = now;
    std::for_each(content.records.begin(), content.records.end(), add);
    std::for_each(content.details.retentions.begin(), content.details.retentions.end(), add);
  }
}

std::string LineStyles::label(const std::string& policy, const std::string& mode, int interval_tokens) const {
  return policy + (modes_ ? ", " + mode : "") + (intervals_ ? ", every " + std::to_string(interval_tokens) : "");
}

std::vector<LineChart> quality_charts(const ReportContent& content, const LineStyles& styles) {
  std::vector<LineChart> out;
  const auto both = [&](const ResultRows& rows, const std::vector<double>& held, const std::string& where) {
    out.push_back(chart_of(rows, held, where + ": quality", "quality", &eval::ResultRecord::quality,
                           &eval::ResultRecord::quality_ci95, styles));
    out.back().y_low = 0;
    out.back().y_high = 1;
    out.push_back(chart_of(rows, held, where + ": log-likelihood of the answer", "change, nat per token",
                           &eval::ResultRecord::answer_log_likelihood_delta,
                           &eval::ResultRecord::answer_log_likelihood_delta_ci95, styles));
  };
  const auto models = models_of(content.records);
  for (const ModelResults& results : models) {
    const std::string model = models.size() > 1 ? results.origin + ", " : "";
    const auto tables = tables_of(results.rows);
    if (tables.size() > 1) {
      const ResultMeans means = means_of(results.rows);
      both(means.rows, means.held_bytes, model + "mean over " + std::to_string(tables.size()) + " tables");
    }
    for (const ResultRows& rows : tables)
      both(rows, held_bytes_of(rows),
           model + rows.front().task + ", " + length_text(rows.front().length_tokens) + ", " +
               count_text(rows.front().samples, rows.front().independent));
  }
  return out;
}

namespace {

/// All that was held, statistics too, unless a file of before does not say how much they are.
double held_of(const eval::RetentionDetails::Point& point, bool statistics) {
  return static_cast<double>(point.kv_bytes + (statistics ? point.statistics_bytes : 0));
}

}  // namespace

bool knows_statistics(const eval::DetailsFile& details) {
  return std::all_of(details.retentions.begin(), details.retentions.end(), [](const eval::RetentionDetails& r) {
    return std::all_of(r.timeline.begin(), r.timeline.end(), [](const auto& point) { return point.statistics_bytes >= 0; });
  });
}

std::vector<LineChart> memory_charts(const ReportContent& content, const LineStyles& styles) {
  const eval::DetailsFile& details = content.details;
  if (details.prompts.empty()) return {};
  const auto longest = std::max_element(details.prompts.begin(), details.prompts.end(),
                                        [](const auto& a, const auto& b) { return a.pieces.size() < b.pieces.size(); }) -
                       details.prompts.begin();
  const bool statistics = knows_statistics(details);
  double most = 0;
  std::vector<const eval::RetentionDetails*> shown;
  for (std::size_t i = 0; i < details.retentions.size(); ++i) {
    if (details.prompt_of[i] != static_cast<std::size_t>(longest)) continue;
    shown.push_back(&details.retentions[i]);
    for (const auto& point : shown.back()->timeline) most = std::max(most, held_of(point, statistics));
  }
  const double unit = most >= 4 * 1024.0 * 1024.0 ? 1024.0 * 1024.0 : 1024.0;
  std::vector<LineChart> out;
  for (const eval::RetentionDetails* r : shown) {
    if (r->policy == kFullPolicy) continue;
    const std::string title = "budget " + r->budget + ", " + details.prompts[static_cast<std::size_t>(longest)].prompt;
    auto chart = std::find_if(out.begin(), out.end(), [&](const LineChart& c) { return c.title == title; });
    if (chart == out.end()) {
      chart = out.insert(out.end(), {title, "tokens read",
                                     std::string(statistics ? "keys, values and statistics, " : "keys and values, ") +
                                         (unit > 1024 ? "MiB" : "KiB")});
      chart->markers = false;
      for (const eval::RetentionDetails* full : shown)
        if (full->policy == kFullPolicy) {
          chart->series.push_back({"full", kFullStyle, false, {{0, 0}}});
          for (const auto& point : full->timeline)
            chart->series.back().points.push_back({static_cast<double>(point.tokens), held_of(point, statistics) / unit});
        }
    }
    ChartSeries& series = series_of(*chart, styles, styles.label(r->policy, r->mode, r->interval_tokens));
    series.points.push_back({0, 0});
    for (const auto& point : r->timeline)
      series.points.push_back({static_cast<double>(point.tokens), held_of(point, statistics) / unit});
  }
  return out;
}

std::vector<LineChart> evolution_charts(const ReportContent& content) {
  std::vector<LineChart> out;
  for (const auto& [name, checkpoint] : content.runs) {
    LineChart fitness{name + ": fitness, relative to the full cache", "generation", "fitness"};
    LineChart steps{name + ": step size", "generation", "step size"};
    fitness.series = {{"best of the generation", 0, false, {}},
                      {"mean of the generation", 1, false, {}},
                      {"validation, best so far", 2, true, {}}};
    steps.series = {{"step size", 6, false, {}}};
    steps.y_scale = LineChart::Scale::log10;
    for (const RunPoint& point : run_points(checkpoint)) {
      fitness.series[0].points.push_back({point.generation, point.best});
      fitness.series[1].points.push_back({point.generation, point.mean});
      fitness.series[2].points.push_back({point.generation, point.kept});
      steps.series[0].points.push_back({point.generation, point.step_size});
    }
    fitness.markers = steps.markers = checkpoint.history.size() <= 40;
    out.push_back(std::move(fitness));
    out.push_back(std::move(steps));
  }
  return out;
}

}  // namespace namm::report
