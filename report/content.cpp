#include "report/content.hpp"

#include <filesystem>
#include <map>
#include <set>

#include "eval/record_file.hpp"
#include "report/means.hpp"
#include "report/policy_labels.hpp"
#include "report/run_curve.hpp"

namespace namm::report {
namespace {

/// One name may stand for several policies: a file that was evolved further, or other protected tokens.
void tell_apart(ReportContent& content) {
  std::map<std::string, std::set<std::string>> memories;
  for (const eval::ResultRecord& record : content.records)
    if (!is_full(record)) memories[record.policy].insert(record.memory);
  for (eval::ResultRecord& record : content.records) {
    if (is_full(record) || record.memory.empty() || memories.at(record.policy).size() == 1) continue;
    const std::string label = record.policy + " " + record.memory.substr(0, 4);
    if (content.from_file.contains(record.policy)) content.from_file.insert(label);
    record.policy = label;
  }
}

}  // namespace

ReportContent load_report(const std::vector<std::string>& inputs) {
  ReportContent out;
  for (const std::string& input : inputs) {
    const std::filesystem::path path(input);
    std::error_code ignored;
    if (std::filesystem::is_directory(path, ignored)) {
      out.runs.emplace_back(input, load_run(path));
    } else if (eval::is_details_file(path)) {
      eval::load_details(path, out.details);
    } else {
      const std::vector<eval::ResultRecord> more = eval::load_results(path);
      out.records.insert(out.records.end(), more.begin(), more.end());
    }
  }
  std::vector<std::string> names;
  for (const eval::ResultRecord& record : out.records) names.push_back(record.policy);
  for (const eval::RetentionDetails& retention : out.details.retentions) names.push_back(retention.policy);
  const auto labels = policy_labels(names);
  for (const auto& [name, label] : labels)
    if (std::filesystem::path(name).extension() == ".json") out.from_file.insert(label);
  for (eval::ResultRecord& record : out.records) record.policy = labels.at(record.policy);
  for (eval::RetentionDetails& retention : out.details.retentions) retention.policy = labels.at(retention.policy);
  tell_apart(out);
  return out;
}

}  // namespace namm::report
