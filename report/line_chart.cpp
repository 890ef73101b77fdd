#include "report/line_chart.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "base/json_fields.hpp"
#include "report/html.hpp"

namespace namm::report {
namespace {

constexpr double kWidth = 560, kHeight = 320, kLeft = 58, kRight = 14, kTop = 14, kBottom = 46;
constexpr std::size_t kColours = 7;  // --c0 to --c6 in the style sheet
constexpr const char* kDashes[] = {"", "7 3", "2 3", "9 3 2 3", "5 2 1 2 1 2"};

template <typename... Values>
std::string print(const char* format, Values... values) {
  char text[256];
  std::snprintf(text, sizeof text, format, values...);
  return text;
}

/// A value of an axis and where it is on it.
class Axis {
 public:
  Axis(LineChart::Scale scale, double from, double to) : scale_(scale), from_(from), to_(to) {}

  void cover(double value) {
    if (!usable(value)) return;
    low_ = std::fmin(low_, value);
    high_ = std::fmax(high_, value);
  }
  bool usable(double value) const { return std::isfinite(value) && (scale_ == LineChart::Scale::linear || value > 0); }
  bool empty() const { return !std::isfinite(low_); }

  /// Rounds the range to whole ticks; call once when everything is covered.
  void settle() {
    double low = transformed(low_), high = transformed(high_);
    if (high - low < 1e-12) low -= 0.5, high += 0.5;
    step_ = 1;
    if (scale_ == LineChart::Scale::linear) {
      const double rough = (high - low) / 5, power = std::pow(10, std::floor(std::log10(rough)));
      for (const double factor : {1.0, 2.0, 2.5, 5.0, 10.0})
        if ((step_ = factor * power) >= rough * 0.999) break;
    } else if (high - low > 8) {
      step_ = std::ceil((high - low) / 8);
    }
    low_ = std::floor(low / step_ + 1e-9) * step_;
    high_ = std::ceil(high / step_ - 1e-9) * step_;
  }
  double place(double value) const { return from_ + (transformed(value) - low_) / (high_ - low_) * (to_ - from_); }
  std::vector<double> ticks() const {
    std::vector<double> out;
    for (int i = 0; low_ + i * step_ <= high_ + step_ * 1e-6; ++i) {
      const double at = std::abs(low_ + i * step_) < step_ * 1e-6 ? 0 : low_ + i * step_;
      out.push_back(scale_ == LineChart::Scale::linear ? at : std::pow(scale_ == LineChart::Scale::log2 ? 2 : 10, at));
    }
    return out;
  }

 private:
  double transformed(double value) const {
    return scale_ == LineChart::Scale::linear ? value : scale_ == LineChart::Scale::log2 ? std::log2(value) : std::log10(value);
  }
  LineChart::Scale scale_;
  double from_, to_, low_ = kNothing, high_ = kNothing, step_ = 1;
};

std::string value_text(double value, bool percent) {
  return percent ? print("%.4g %%", 100 * value) : print("%.4g", value);
}

std::string marker(std::size_t style, double x, double y) {
  switch (style % 7) {
    case 0:
      return print("<circle cx='%.1f' cy='%.1f' r='3.6'/>", x, y);
    case 1:
      return print("<rect x='%.1f' y='%.1f' width='6.6' height='6.6'/>", x - 3.3, y - 3.3);
    case 2:
      return print("<path d='M%.1f %.1fl4.2 7.4h-8.4z'/>", x, y - 4.6);
    case 3:
      return print("<path d='M%.1f %.1fl4.4 4.4-4.4 4.4-4.4-4.4z'/>", x, y - 4.4);
    case 4:
      return print("<path d='M%.1f %.1fl4.2-7.4h-8.4z'/>", x, y + 4.6);
    case 5:
      return print("<path class='open' d='M%.1f %.1fl7 7m0-7l-7 7'/>", x - 3.5, y - 3.5);
    default:
      return print("<path class='open' d='M%.1f %.1fh8m-4-4v8'/>", x - 4, y);
  }
}

std::string group(std::size_t style, bool strong) {
  const char* const weight = strong ? " strong" : "";
  if (style == kFullStyle) return print("<g class='series s%zu%s' style='--c:var(--fg)'>", style, weight);
  return print("<g class='series s%zu%s' style='--c:var(--c%zu)'>", style, weight, style % kColours);
}

std::string dashes(std::size_t style) {
  const char* const pattern = style == kFullStyle ? "" : kDashes[style % std::size(kDashes)];
  return *pattern == '\0' ? std::string() : print(" stroke-dasharray='%s'", pattern);
}

double cut(const LineChart& chart, double y) {
  if (y < chart.y_low) return chart.y_low;
  return y > chart.y_high ? chart.y_high : y;
}

std::string frame(const LineChart& chart, const Axis& x, const Axis& y) {
  std::string out;
  for (const double tick : y.ticks())
    out += print("<line class='grid' x1='%g' x2='%g' y1='%.1f' y2='%.1f'/><text class='tick' x='%g' y='%.1f' text-anchor='end'>",
                 kLeft, kWidth - kRight, y.place(tick), y.place(tick), kLeft - 6, y.place(tick) + 4) +
           value_text(tick, false) + "</text>";
  for (const double tick : x.ticks())
    out +=
        print("<line class='grid' x1='%.1f' x2='%.1f' y1='%g' y2='%g'/><text class='tick' x='%.1f' y='%g' text-anchor='middle'>",
              x.place(tick), x.place(tick), kTop, kHeight - kBottom, x.place(tick), kHeight - kBottom + 16) +
        value_text(tick, chart.x_percent) + "</text>";
  out += print("<text class='label' x='%g' y='%g' text-anchor='middle'>", (kLeft + kWidth - kRight) / 2, kHeight - 8) +
         escape_html(chart.x_label) + "</text>";
  out += print("<text class='label' transform='translate(14 %g) rotate(-90)' text-anchor='middle'>",
               (kTop + kHeight - kBottom) / 2) +
         escape_html(chart.y_label) + "</text>";
  if (y.usable(chart.level))
    out += print("<line class='level' x1='%g' x2='%g' y1='%.1f' y2='%.1f'/><text class='tick' x='%g' y='%.1f'>", kLeft,
                 kWidth - kRight, y.place(chart.level), y.place(chart.level), kLeft + 4, y.place(chart.level) - 4) +
           escape_html(chart.level_label) + "</text>";
  return out;
}

}  // namespace

std::string svg_of(const LineChart& chart) {
  Axis x(chart.x_scale, kLeft, kWidth - kRight), y(chart.y_scale, kHeight - kBottom, kTop);
  for (const ChartSeries& series : chart.series)
    for (const auto& point : series.points) {
      if (!x.usable(point.x) || !y.usable(point.y)) continue;
      x.cover(point.x);
      y.cover(point.y);
      for (const double value : {point.low, point.high}) y.cover(cut(chart, value));
    }
  if (x.empty()) return {};
  y.cover(chart.level);
  x.settle();
  y.settle();
  std::string out = print("<svg class='chart' viewBox='0 0 %g %g' role='img' aria-label='", kWidth, kHeight) +
                    escape_html(chart.title) + "'>" + frame(chart, x, y);
  for (std::size_t s = 0; s < chart.series.size(); ++s) {
    const ChartSeries& series = chart.series[s];
    // intervals of different lines at the same x stand side by side
    const double aside = (static_cast<double>(s) - static_cast<double>(chart.series.size() - 1) / 2) * 1.6;
    std::string path, marks;
    for (const auto& point : series.points) {
      if (!x.usable(point.x) || !y.usable(point.y)) continue;
      const double px = x.place(point.x) + (chart.markers ? aside : 0), py = y.place(point.y);
      path += print("%s%.1f %.1f", path.empty() ? "M" : "L", px, py);
      if (!chart.markers) continue;
      if (y.usable(point.low) && y.usable(point.high))
        marks += print("<line class='interval' x1='%.1f' x2='%.1f' y1='%.1f' y2='%.1f'/>", px, px, y.place(cut(chart, point.low)),
                       y.place(cut(chart, point.high)));
      const std::string tip =
          point.tip.empty() ? value_text(point.x, chart.x_percent) + ": " + value_text(point.y, false) : point.tip;
      marks +=
          "<g class='mark'><title>" + escape_html(series.label + ", " + tip) + "</title>" + marker(series.style, px, py) + "</g>";
    }
    if (path.empty()) continue;
    out += group(series.style, series.strong) + "<path class='line' d='" + path + "'" + dashes(series.style) + "><title>" +
           escape_html(series.label) + "</title></path>" + marks + "</g>";
  }
  return out + "</svg>";
}

nlohmann::json chart_json(const LineChart& chart) {
  nlohmann::json series = nlohmann::json::array();
  for (const ChartSeries& one : chart.series) {
    nlohmann::json points = nlohmann::json::array();
    for (const auto& point : one.points)
      points.push_back({detail::number_or_null(point.x), detail::number_or_null(point.y), detail::number_or_null(point.low),
                        detail::number_or_null(point.high)});
    series.push_back({{"label", one.label}, {"points", points}});
  }
  return {{"x", chart.x_label}, {"y", chart.y_label}, {"series", series}};
}

std::string svg_sample(std::size_t style, bool strong) {
  return "<svg class='sample' viewBox='0 0 40 12' aria-hidden='true'>" + group(style, strong) + "<path class='line' d='M1 6H39'" +
         dashes(style) + "/><g class='mark'>" + marker(style, 20, 6) + "</g></g></svg>";
}

}  // namespace namm::report
