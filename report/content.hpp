#pragma once
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "eval/details_file.hpp"
#include "eval/record.hpp"
#include "evolve/checkpoint.hpp"
#include "report/retention.hpp"

namespace namm::report {

/// What a report is made of.
struct ReportContent {
  std::vector<eval::ResultRecord> records;
  eval::DetailsFile details;
  std::vector<std::pair<std::string, evolve::Checkpoint>> runs;  ///< name of the folder, what it holds
  std::set<std::string> from_file;                               ///< policies that were read from a file: evolved or fitted
};

/// Reads result files, details files and run folders, whatever they are called, and gives policies their short names
/// (policy_labels.hpp). Throws std::runtime_error in one line if one of them is damaged or none of these.
ReportContent load_report(const std::vector<std::string>& inputs);

/// What load_report() does at its end: the short names of policies, and which of them are files.
void label_policies(ReportContent& content);

}  // namespace namm::report
