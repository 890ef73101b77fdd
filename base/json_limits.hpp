#pragma once
#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace namm::detail {

constexpr std::size_t kMostJsonValues = 4'000'000;

/// What becomes of an object that has a name twice: the last value counts, or the text is refused.
enum class RepeatedNames { last, refused };

/// Builds JSON text from outside once it has been read along: well formed, at most 32 levels deep (nlohmann/json copies and
/// destroys by recursion) and `most_values`. Throws std::runtime_error, one line.
nlohmann::json parse_json(std::string_view text, std::size_t most_values = kMostJsonValues,
                          RepeatedNames repeated = RepeatedNames::last);

/// The same, or null where `text` is something else: to find out what a file is.
nlohmann::json try_json(std::string_view text);

/// A message without the numbers by which nlohmann/json tells its exceptions apart ("[json.exception.type_error.302] ").
std::string without_tags(std::string text);

/// Line breaks and other control characters become blanks; long texts are cut.
std::string one_line(std::string_view text);

}  // namespace namm::detail
