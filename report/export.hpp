#pragma once
#include <string>

#include <nlohmann/json.hpp>

#include "report/content.hpp"

namespace namm::report {

/// For other programs: "results" (every row of every table, in full), "means" (rows of the tables over all tasks; `tables` says
/// of how many), "kept" (by kind of token) and "runs" (points of the curves), whichever there are. Unknown numbers are null.
nlohmann::json json_of(const ReportContent& content);

/// The same as one table with a head (RFC 4180): rows of results, then those of the means, whose task is "mean"; or, without
/// results, what was kept by kind of token; or the points of runs. Unknown numbers are empty. Throws std::invalid_argument if the
/// content is of several kinds.
std::string csv_of(const ReportContent& content);

}  // namespace namm::report
