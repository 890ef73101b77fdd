#pragma once
#include <span>
#include <string>
#include <string_view>

#include "cli/help.hpp"

namespace namm::cli {

/// Titles of the groups of options, in the order of help texts; the first is of what --help shows.
std::span<const std::string_view> help_titles();

/// The title of the group in which an option of a command stands.
std::string_view title_of(std::string_view command, std::string_view option);

/// Two or so, which parse as they stand.
std::span<const CommandHelp::Example> examples_of(std::string_view command);

}  // namespace namm::cli
