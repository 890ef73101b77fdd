#include "report/run_curve.hpp"

#include <algorithm>
#include <cmath>
#include <ostream>
#include <stdexcept>

#include "base/format.hpp"
#include "base/json_limits.hpp"
#include "base/line_reader.hpp"
#include "eval/intervals.hpp"

namespace namm::report {
namespace {

using nlohmann::json;
constexpr std::size_t kMostRows = 24;

double number(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_number() ? found->get<double>() : eval::kNan;
}

json part(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_object() ? *found : json::object();
}

std::string text_of(const char* format, double value) {
  return std::isfinite(value) ? format_number(format, value) : std::string();
}

/// "a, b" of an array, the value itself of anything else.
std::string listed(const json& value) {
  if (value.is_string()) return detail::one_line(value.get_ref<const std::string&>());
  if (!value.is_array()) return detail::one_line(value.dump(-1, ' ', false, json::error_handler_t::replace));
  std::string out;
  for (const json& item : value) out += (out.empty() ? "" : ", ") + listed(item);
  return out;
}

std::string settings_line(const json& settings) {
  std::string out;
  for (const char* name : {"model", "policy", "tasks", "lengths_tokens", "budgets", "selection", "fitness", "strategy",
                           "population", "step_size", "seed"}) {
    if (!settings.contains(name)) continue;
    std::string label = name;
    std::replace(label.begin(), label.end(), '_', ' ');
    out += (out.empty() ? "" : "; ") + label + ' ' + listed(settings[name]);
  }
  return out;
}

void print_spark(std::ostream& out, const char* label, const std::vector<RunPoint>& points, double RunPoint::*field) {
  std::vector<double> values;
  for (const RunPoint& p : points) values.push_back(p.*field);
  double low = eval::kNan, high = eval::kNan;
  for (const double v : values) {
    low = std::fmin(low, v);
    high = std::fmax(high, v);
  }
  if (!std::isfinite(low) || !std::isfinite(high)) return;
  out << label << ' ' << sparkline(values, 60) << "  " << text_of("%.4f", low) << " .. " << text_of("%.4f", high) << '\n';
}

}  // namespace

evolve::Checkpoint load_run(const std::filesystem::path& folder) {
  evolve::Checkpoint out = evolve::load_checkpoint(folder / "checkpoint.json");
  if (!std::filesystem::exists(folder / "log.jsonl") || out.history.empty()) return out;
  LineReader reader(folder / "log.jsonl", std::size_t{1} << 20);
  for (std::string line; reader.next(line);) {
    const json end = detail::try_json(line);
    if (!end.is_object())
      throw std::runtime_error(reader.where() + "must be a JSON object, is not; resuming the run mends its log");
    if (!end.contains("final") || number(end, "generation") != static_cast<double>(out.generation)) continue;
    out.history.back()["validation"] = part(end, "validation");
    const double best = number(end, "best_validation");
    if (!(best > out.best_validation)) continue;
    out.history.back()["best_validation"] = out.best_validation = best;
    out.best_generation = out.generation;
  }
  return out;
}

std::string sparkline(std::span<const double> values, std::size_t width) {
  static const char* const kBlocks[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  const std::size_t columns = std::min(width, values.size());
  std::vector<double> heights(columns, eval::kNan);
  double low = eval::kNan, high = eval::kNan;
  for (std::size_t c = 0; c < columns; ++c) {
    double sum = 0, count = 0;
    for (std::size_t i = c * values.size() / columns; i < (c + 1) * values.size() / columns; ++i)
      if (std::isfinite(values[i])) sum += values[i], ++count;
    if (count > 0) heights[c] = sum / count;
    low = std::fmin(low, heights[c]);
    high = std::fmax(high, heights[c]);
  }
  std::string out;
  for (const double h : heights) {
    const double share = high > low ? (h - low) / (high - low) : 0.5;
    out += std::isfinite(h) ? kBlocks[static_cast<std::size_t>(std::clamp(share * 7 + 0.5, 0.0, 7.0))] : " ";
  }
  return out;
}

std::vector<RunPoint> run_points(const evolve::Checkpoint& checkpoint) {
  std::vector<RunPoint> out;
  for (const json& line : checkpoint.history) {
    if (!line.is_object()) continue;
    const json fitness = part(line, "fitness"), validation = part(line, "validation");
    out.push_back({number(line, "generation"), number(fitness, "best"), number(fitness, "mean"), number(fitness, "spread"),
                   number(line, "step_size"), number(validation, "mean"), number(validation, "candidate"),
                   number(line, "best_validation")});
  }
  return out;
}

void print_run(std::ostream& out, const std::string& name, const evolve::Checkpoint& checkpoint, TableFormat format) {
  const std::vector<RunPoint> points = run_points(checkpoint);
  print_heading(out, "evolution " + name + ", " + std::to_string(checkpoint.generation) + " generations", format);
  const std::string validation = "validation, relative to the full cache: start " + text_of("%.4f", checkpoint.start_validation) +
                                 ", best " + text_of("%.4f", checkpoint.best_validation) + " (generation " +
                                 std::to_string(checkpoint.best_generation) + ")";
  print_note(out, settings_line(checkpoint.settings), format);
  out << '\n';
  print_note(out, validation, format);
  out << '\n';
  if (format == TableFormat::text || format == TableFormat::markdown) {
    if (format == TableFormat::markdown) out << "```\n";
    print_spark(out, "best      ", points, &RunPoint::best);
    print_spark(out, "mean      ", points, &RunPoint::mean);
    print_spark(out, "validation", points, &RunPoint::kept);
    if (format == TableFormat::markdown) out << "```\n";
    out << '\n';
  }

  std::vector<std::vector<std::string>> rows;
  const std::size_t step = (points.size() + kMostRows - 1) / kMostRows;
  for (std::size_t i = 0; i < points.size(); ++i) {
    if (i % step != 0 && i + 1 != points.size()) continue;
    const RunPoint& p = points[i];
    rows.push_back({text_of("%.0f", p.generation), text_of("%.4f", p.best), text_of("%.4f", p.mean), text_of("%.4f", p.spread),
                    text_of("%.4g", p.step_size), text_of("%.4f", p.validation_mean), text_of("%.4f", p.validation_candidate),
                    text_of("%.4f", p.kept)});
  }
  print_table(out, {"generation", "best", "mean", "spread", "step size", "valid. mean", "valid. best", "kept so far"}, rows, 0,
              format);
  if (step > 1) print_note(out, "every " + std::to_string(step) + "th generation and the last", format);
  out << '\n';
}

}  // namespace namm::report
