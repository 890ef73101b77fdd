#pragma once

namespace namm::cli {

/// For a catch block: prints the exception under way as one line on stderr and returns the exit code, 2 for wrong usage, else 1.
int print_failure();

}  // namespace namm::cli
