#pragma once
#include <string>

#include "report/means.hpp"

namespace namm::report {

/// Policy files bring their own mode and interval, so that one table may compare what is not alike: names each policy's, or is
/// empty if all have the same.
std::string unlike_policies(const ResultRows& rows);

}  // namespace namm::report
