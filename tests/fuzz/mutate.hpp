#pragma once
#include <random>
#include <string>

namespace namm::fuzz {

/// A damaged copy: up to four of a changed bit, a changed byte, a run of one byte, a number that is often a limit, a piece that
/// is gone, doubled or moved, an end that is cut off.
std::string mutate(std::string content, std::mt19937& draw);

}  // namespace namm::fuzz
