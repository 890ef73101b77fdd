#pragma once
#include <filesystem>
#include <vector>

#include "eval/record.hpp"

namespace namm::eval {

/// The records of a result file, one JSON object per line; empty lines are skipped. Throws std::runtime_error
/// "FILE:LINE: what is wrong" in one line, and if there are no records.
std::vector<ResultRecord> load_results(const std::filesystem::path& path);

/// The same of a file that is still being written: it may be empty, and its last line is left out if it does not end.
std::vector<ResultRecord> load_unfinished_results(const std::filesystem::path& path);

}  // namespace namm::eval
