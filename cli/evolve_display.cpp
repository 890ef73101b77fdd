#include "cli/evolve_display.hpp"

#include <algorithm>
#include <cstdio>
#include <string>

namespace namm::cli {

evolve::RunCallbacks EvolveDisplay::callbacks() {
  evolve::RunCallbacks out;
  out.progress = [this](std::string_view what, std::size_t done, std::size_t all) {
    bar_.show("generation " + std::to_string(generation_) + "/" + std::to_string(generations_) + " " + std::string(what), done,
              all);
  };
  out.generation = [this](const evolve::GenerationRecord& record) { show(record); };
  return out;
}

void EvolveDisplay::show(const evolve::GenerationRecord& record) {
  bar_.clear();
  generation_ = record.generation + 1;
  if (record.generation > 0) {
    seconds_ += record.seconds;
    ++timed_;
  }
  if (quiet_) return;
  if (record.generation == 0) {
    std::fprintf(stderr, "start        validation %+.4f\n", record.best_validation);
    return;
  }
  const double each = seconds_ / static_cast<double>(std::max<std::int64_t>(1, timed_));
  std::fprintf(stderr, "generation %-4lld best %+.4f  mean %+.4f  spread %.4f  step size %.4f  kept %+.4f  %s left\n",
               static_cast<long long>(record.generation), record.best, record.mean, record.spread, record.step_size,
               record.best_validation, format_seconds(each * static_cast<double>(generations_ - record.generation)).c_str());
}

}  // namespace namm::cli
