#pragma once
#include <string>

#include "cli/options.hpp"

namespace namm::cli {

/// --prompt, --file.
void add_prompt(po::options_description& options);
/// The text of --prompt, --file or standard input. Throws std::invalid_argument if two are given or none, std::runtime_error if
/// it cannot be read, is empty or larger than 64 MiB. Warns about bytes that are not UTF-8.
std::string prompt_text_from(const po::variables_map& values);

}  // namespace namm::cli
