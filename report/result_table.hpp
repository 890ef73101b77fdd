#pragma once
#include <iosfwd>
#include <span>

#include "eval/record.hpp"
#include "report/table.hpp"

namespace namm::report {

/// A table per task and length: policies and budgets with quality, its interval, change of log-likelihood, savings and rates.
/// With more than one table per model and settings, one more over all of them. A '*' marks what differs
/// from the full cache on the same prompts. A row that was measured twice is shown once, as measured last, and a note says so;
/// another names the policies that were measured in different modes or at different intervals.
void print_results(std::ostream& out, std::span<const eval::ResultRecord> records, TableFormat format);

}  // namespace namm::report
