#pragma once
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace namm::cli {

/// The line that was typed, as a shell takes it, with `more` words behind it: what goes on where a command was stopped. Options
/// spelt as the first of a pair in `renamed` become its second.
std::string again(std::string_view command, const std::vector<std::string>& arguments, const std::vector<std::string>& more,
                  const std::vector<std::pair<std::string, std::string>>& renamed = {});

}  // namespace namm::cli
