#include "base/progress_meter.hpp"

#include <algorithm>
#include <cstdio>

#include "base/format.hpp"

namespace namm {
namespace {

constexpr double kRedrawSeconds = 0.1, kLineSeconds = 5, kMostLineSeconds = 60;
constexpr std::size_t kWidth = 24;

/// Lines of a log: every five seconds, in long work every twentieth of the time taken so far, at least one a minute.
double line_seconds(double elapsed) {
  return std::clamp(elapsed / 20, kLineSeconds, kMostLineSeconds);
}

}  // namespace

ProgressMeter::ProgressMeter(Form form, std::function<double()> seconds, std::function<void(std::string_view)> write)
    : form_(form), seconds_(std::move(seconds)), write_(std::move(write)), start_(seconds_()), last_(start_) {}

void ProgressMeter::show(const std::string& label, std::size_t done, std::size_t all) {
  show(label, done, all, all > 0 ? static_cast<double>(done) / static_cast<double>(all) : 0);
}

void ProgressMeter::show(const std::string& label, std::size_t done, std::size_t all, double share) {
  share_ = std::clamp(share, 0.0, 1.0);
  if (form_ == Form::none) return;
  const double now = seconds_(), elapsed = now - start_;
  const bool bar = form_ == Form::bar;
  if (bar ? shown_ && now - last_ < kRedrawSeconds && done < all : now - last_ < line_seconds(elapsed)) return;
  last_ = now;
  char counts[96];
  std::snprintf(counts, sizeof counts, "%zu/%zu  %.0f %%  ", done, all, 100 * share_);
  if (bar) {
    std::string hashes(static_cast<std::size_t>(share_ * kWidth), '#');
    hashes.resize(kWidth, '.');
    write_("\r\033[K" + label + " [" + hashes + "] " + counts + time_left());
    shown_ = true;
  } else {
    write_("namm: " + label + "  " + counts + time_left() + "\n");
  }
}

std::string ProgressMeter::time_left() const {
  if (share_ <= 0) return "? left";
  return format_seconds((seconds_() - start_) * (1 - share_) / share_) + " left";
}

void ProgressMeter::clear() {
  if (!shown_) return;
  write_("\r\033[K");
  shown_ = false;
}

}  // namespace namm
