#pragma once
#include <string>
#include <vector>

#include "cli/options.hpp"

namespace namm::cli {

/// Throws std::invalid_argument if a program's name stands among our own options with no "--" in front of it; says what the line
/// should be.
void check_separator(const std::vector<std::string>& arguments, const po::options_description& options);

/// Throws std::runtime_error if there is no such program: a path, or a name that is looked up on the PATH.
void check_program(const std::string& program);

}  // namespace namm::cli
