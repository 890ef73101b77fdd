#pragma once
#include <functional>
#include <string>
#include <vector>

#include "cli/tune/words.hpp"

namespace namm::cli {

struct TuneStep {
  std::string name;
  std::function<int()> run;  ///< the exit code; goes on with what it began before
};

/// In their order. `tuning` must outlive them.
std::vector<TuneStep> steps_of(const Tuning& tuning);

}  // namespace namm::cli
