#pragma once
#include <iosfwd>
#include <span>

#include "eval/record.hpp"
#include "report/table.hpp"

namespace namm::report {

/// With more than one table per model and settings, first one over all of them; then a table per task and length: policies and
/// budgets with quality, its interval, change of log-likelihood, memory freed and rate, in 100 columns; `wide` adds all there is.
/// A
/// '*' marks what differs from the full cache on the same prompts. Digits are those that the intervals support. A row that was
/// measured twice is shown once, as measured last, and a note says so; another names the policies that were measured in different
/// modes or at different intervals.
void print_results(std::ostream& out, std::span<const eval::ResultRecord> records, TableFormat format, bool wide = false);

}  // namespace namm::report
