#pragma once
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace namm {

/// Names of `known` that are nearest to `typed` (edit distance; letters that changed places count once), best first, at most
/// `count`; for error messages of any room.
std::vector<std::string> nearest_names(std::string_view typed, std::span<const std::string_view> known, std::size_t count = 3);

/// Those of the three nearest of which at least half of `typed` is like it: what may have been meant.
std::vector<std::string> probable_names(std::string_view typed, std::span<const std::string_view> known);

/// The nearest of them if at least half of `typed` is like it, else "": what was probably meant.
std::string probable_name(std::string_view typed, std::span<const std::string_view> known);

}  // namespace namm
