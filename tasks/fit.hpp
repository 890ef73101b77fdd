#pragma once
#include <cstddef>
#include <functional>
#include <string_view>

namespace namm::tasks {

/// The largest size in [0, most] for which `tokens_of(size)` is at most `length_tokens`, or one near it: the search ends when
/// the length is met within a quarter of `length_slack`, or after 40 counts. Interpolates, as tokens grow nearly in proportion
/// to size: a handful of counts. 0 if nothing fits.
/// @param guess  where to begin, clamped to [0, most]
std::size_t fit_size(std::size_t most, std::size_t guess, std::size_t length_tokens,
                     const std::function<std::size_t(std::size_t)>& tokens_of);

/// Throws std::invalid_argument: "task NAME: length_tokens N is too short to hold the THING; use at least M".
[[noreturn]] void refuse_short(std::string_view task, std::size_t length_tokens, std::string_view thing, std::size_t least);

}  // namespace namm::tasks
