#pragma once
#include <string_view>

#include "cli/progress_bar.hpp"
#include "evolve/loop.hpp"

namespace namm::cli {

/// What a run of evolution shows on stderr: a bar on a terminal, a line per generation. Lives as long as its callbacks.
class EvolveDisplay {
 public:
  EvolveDisplay(bool quiet, std::int64_t generations) : quiet_(quiet), generations_(generations), bar_(!quiet) {}
  evolve::RunCallbacks callbacks();
  void clear() { bar_.clear(); }

 private:
  void show(const evolve::GenerationRecord& record);

  bool quiet_, hinted_ = false;
  int flat_ = 0;  ///< generations in a row whose candidates were all alike
  std::int64_t generations_, generation_ = 0;
  ProgressBar bar_;
};

}  // namespace namm::cli
