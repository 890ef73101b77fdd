#pragma once
#include <vector>

#include "report/means.hpp"

namespace namm::report {

/// Fewer independent prompts than this carry no mark, whatever the test says.
inline constexpr std::int64_t kLeastForMark = 10;

/// Which rows of one table differ from the full cache: paired tests at 5 %, Holm over the rows.
std::vector<bool> differs_from_full(const ResultRows& rows, double eval::ResultRecord::*p_value);

}  // namespace namm::report
