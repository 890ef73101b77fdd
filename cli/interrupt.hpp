#pragma once
#include <atomic>

namespace namm::cli {

/// Becomes true at the first Ctrl-C (or SIGTERM); a second one ends the process at once. Installs the handlers when first called.
const std::atomic<bool>& interrupted();

}  // namespace namm::cli
