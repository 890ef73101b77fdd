#pragma once
#include <iosfwd>
#include <span>

#include "report/retention.hpp"
#include "report/table.hpp"

namespace namm::report {

/// Per policy and budget a table of how much of each kind of token was kept, one row per task: does the policy adapt to the task?
void print_kinds(std::ostream& out, std::span<const Retention> retentions, TableFormat format, bool wide = false);

}  // namespace namm::report
