#pragma once
#include <string>
#include <string_view>

namespace namm::detail {

/// Checks JSON text from outside before it is built in memory: well formed, at most 32 levels deep and 4 million values. Throws
/// std::runtime_error, one line.
void check_json(std::string_view text);

/// Line breaks and other control characters become blanks; long texts are cut.
std::string one_line(std::string_view text);

}  // namespace namm::detail
