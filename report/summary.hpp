#pragma once
#include <iosfwd>
#include <span>

#include "eval/record.hpp"
#include "report/table.hpp"

namespace namm::report {

/// One table per model for a quick look: a row per policy (mode, interval), and per budget what is left of the full cache's
/// quality and how the gold answer's log-likelihood changed, with 95 % intervals; means over tasks and lengths.
void print_summary(std::ostream& out, std::span<const eval::ResultRecord> records, TableFormat format);

}  // namespace namm::report
