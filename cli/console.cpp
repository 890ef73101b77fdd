#include "cli/console.hpp"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace namm::cli {

std::string format_seconds(double seconds) {
  const auto whole = std::lround(std::max(0.0, seconds));
  char text[32];
  if (whole >= 3600)
    std::snprintf(text, sizeof text, "%ld:%02ld:%02ld", whole / 3600, whole / 60 % 60, whole % 60);
  else
    std::snprintf(text, sizeof text, "%ld:%02ld", whole / 60, whole % 60);
  return text;
}

std::string format_number(const char* format, double value) {
  if (!std::isfinite(value)) return "-";
  char text[64];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

std::string format_bytes(double bytes) {
  const char* const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  std::size_t unit = 0;
  while (bytes >= 1024 && unit < 4) {
    bytes /= 1024;
    ++unit;
  }
  char text[32];
  std::snprintf(text, sizeof text, unit == 0 ? "%.0f %s" : "%.1f %s", bytes, units[unit]);
  return text;
}

ProgressBar::ProgressBar(bool enabled) : enabled_(enabled && isatty(STDERR_FILENO) != 0) {}

void ProgressBar::show(const std::string& label, std::size_t done, std::size_t total) {
  if (!enabled_) return;
  const auto now = std::chrono::steady_clock::now();
  if (label != label_ || total != total_ || !shown_) {
    label_ = label;
    total_ = total;
    start_ = now;
    last_ = {};
  }
  if (now - last_ < std::chrono::milliseconds(100) && done < total) return;
  last_ = now;
  const double seconds = std::chrono::duration<double>(now - start_).count();
  const double share = total > 0 ? static_cast<double>(done) / static_cast<double>(total) : 0;
  constexpr std::size_t kWidth = 24;
  std::string bar(static_cast<std::size_t>(share * kWidth), '#');
  bar.resize(kWidth, '.');
  const double rate = seconds > 0 ? static_cast<double>(done) / seconds : 0;
  const std::string left = done > 0 ? format_seconds(static_cast<double>(total - done) / std::max(rate, 1e-9)) : "?";
  std::fprintf(stderr, "\r\033[K%s [%s] %zu/%zu  %.1f/s  %s left", label.c_str(), bar.c_str(), done, total, rate, left.c_str());
  std::fflush(stderr);
  shown_ = true;
}

void ProgressBar::clear() {
  if (!shown_) return;
  std::fputs("\r\033[K", stderr);
  std::fflush(stderr);
  shown_ = false;
}

}  // namespace namm::cli
