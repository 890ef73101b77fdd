#pragma once
#include <string>
#include <vector>

#include "cli/options.hpp"

namespace namm::cli {

/// Throws std::invalid_argument if a program's name stands among our own options with no "--" in front of it; says what the line
/// should be.
void check_separator(const std::vector<std::string>& arguments, const po::options_description& options);

}  // namespace namm::cli
