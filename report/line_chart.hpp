#pragma once
#include <limits>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace namm::report {

constexpr double kNothing = std::numeric_limits<double>::quiet_NaN();

/// Style of the full cache: plain, in the colour of the text.
constexpr std::size_t kFullStyle = 1000;

/// A line of a chart. Where `low` and `high` are finite, a bar shows the interval.
struct ChartSeries {
  std::string label;
  std::size_t style = 0;  ///< colour, dashes and marker: the same number looks the same in every chart of a page
  bool strong = false;    ///< drawn heavier
  struct Point {
    double x = 0, y = 0, low = kNothing, high = kNothing;
    std::string tip = {};  ///< shown for the point; empty: x and y
  };
  std::vector<Point> points = {};
};

struct LineChart {
  std::string title, x_label, y_label;
  enum class Scale { linear, log2, log10 };
  Scale x_scale = Scale::linear, y_scale = Scale::linear;
  bool x_percent = false;  ///< x is a share and is shown as per cent
  bool markers = true;
  double y_low = kNothing, y_high = kNothing;  ///< what y can be at all: intervals that were computed beyond are cut there
  double level = kNothing;                     ///< a horizontal line at this y
  std::string level_label = {};
  std::vector<ChartSeries> series = {};
};

/// The chart as an SVG element that takes its colours from the page's style sheet (report_page.css). Everything is text and
/// lines: it prints, needs no script, and can be read aloud. Points that are not finite, or not positive on a logarithmic scale,
/// are left out; "" if none remains.
std::string svg_of(const LineChart& chart);

/// Its numbers: {"x", "y", "series": [{"label", "points": [[x, y, low, high], ...]}, ...]}; null for what is not finite.
nlohmann::json chart_json(const LineChart& chart);

/// A short sample of the line with its marker, for a legend.
std::string svg_sample(std::size_t style, bool strong);

}  // namespace namm::report
