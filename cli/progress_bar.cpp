#include "cli/progress_bar.hpp"

#include <unistd.h>

#include <chrono>
#include <cstdio>

namespace namm::cli {
namespace {

ProgressMeter::Form form_of(bool enabled) {
  if (!enabled) return ProgressMeter::Form::none;
  return isatty(STDERR_FILENO) != 0 ? ProgressMeter::Form::bar : ProgressMeter::Form::lines;
}

double steady_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void write_to_stderr(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

}  // namespace

ProgressBar::ProgressBar(bool enabled) : ProgressMeter(form_of(enabled), steady_seconds, write_to_stderr) {}

}  // namespace namm::cli
