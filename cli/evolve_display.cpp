#include "cli/evolve_display.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>

namespace namm::cli {

evolve::RunCallbacks EvolveDisplay::callbacks() {
  evolve::RunCallbacks out;
  out.progress = [this](std::string_view what, std::size_t done, std::size_t all, double share) {
    bar_.show("generation " + std::to_string(std::min(generation_, generations_)) + "/" + std::to_string(generations_) + " " +
                  std::string(what),
              done, all, share);
  };
  out.generation = [this](const evolve::GenerationRecord& record) { show(record); };
  return out;
}

void EvolveDisplay::show(const evolve::GenerationRecord& record) {
  bar_.clear();
  generation_ = record.generation + 1;
  if (quiet_) return;
  if (record.generation == 0) {
    std::fprintf(stderr, "start        validation %+.4f\n", record.best_validation);
    return;
  }
  char ratio[32] = "-";
  if (std::isfinite(record.signal_to_noise)) std::snprintf(ratio, sizeof ratio, "%.1f", record.signal_to_noise);
  std::fprintf(stderr, "generation %-4lld best %+.4f  mean %+.4f  spread %.4f  signal/noise %s  step size %.4f  kept %+.4f  %s\n",
               static_cast<long long>(record.generation), record.best, record.mean, record.spread, ratio, record.step_size,
               record.best_validation, bar_.time_left().c_str());
  if (record.restarts)
    std::fprintf(stderr, "no better validation for a while: restart %lld\n", static_cast<long long>(record.restart + 1));
  constexpr int kFlatGenerations = 3;
  flat_ = record.spread == 0 ? flat_ + 1 : 0;
  if (flat_ == kFlatGenerations)
    std::fputs(
        "hint: all candidates of three generations had the same fitness, so that nothing is selected; give a smaller --budget, a "
        "--length above --interval, or the fitness answer-likelihood\n",
        stderr);
  if (record.signal_to_noise < 1 && !hinted_ && flat_ == 0) {
    std::fprintf(
        stderr, "hint: the candidates differ less than prompts make them differ by chance (signal/noise %s); enlarge --prompts\n",
        ratio);
    hinted_ = true;
  }
}

}  // namespace namm::cli
