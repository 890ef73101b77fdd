#pragma once
#include <atomic>
#include <exception>

namespace namm::cli {

/// Becomes true at the first Ctrl-C (or SIGTERM); a second one ends the process at once. Installs the handlers when first called.
const std::atomic<bool>& interrupted();

/// Runs `work` on a model. What it throws because it was broken off is not passed on: who comes next sees interrupted().
template <typename Work>
void until_interrupted(const Work& work) {
  try {
    work();
  } catch (const std::exception&) {
    if (!interrupted()) throw;
  }
}

}  // namespace namm::cli
