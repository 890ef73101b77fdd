#pragma once
#include <atomic>

#include "calibrate/plan.hpp"
#include "host/host_pool.hpp"

namespace namm::calibrate {

struct Outcome {
  ProbeFit::Result fit;
  std::size_t recordings = 0;
  bool stopped = false;  ///< `state` holds what was recorded
};

/// Records every source and fits; `progress` is first called with what was recorded before. Saves the sums every `save_every` and
/// whenever it ends, be it by an exception. When `stop` becomes true, what is recorded is fitted if that is anything. Throws
/// std::runtime_error if `state` is damaged or of another run, or cannot be written; exceptions of hosts reach the caller.
Outcome run(const Settings& settings, HostPool& pool, const Progress& progress = {}, const std::atomic<bool>* stop = nullptr);

}  // namespace namm::calibrate
