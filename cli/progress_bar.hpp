#pragma once
#include "base/progress_meter.hpp"

namespace namm::cli {

/// The progress of a command on stderr: make it where the work begins. Call clear() before printing.
class ProgressBar : public ProgressMeter {
 public:
  explicit ProgressBar(bool enabled);
};

}  // namespace namm::cli
