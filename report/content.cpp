#include "report/content.hpp"

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "core/policy_file.hpp"
#include "eval/record_file.hpp"
#include "report/means.hpp"
#include "report/policy_labels.hpp"
#include "report/run_curve.hpp"

namespace namm::report {
namespace {

/// Contents of policies by name.
using Contents = std::map<std::string, std::set<std::string>>;

/// The fewest digits, from four on, by which the contents of every name differ.
std::size_t digits_needed(const Contents& contents) {
  constexpr std::size_t kFewest = 4, kAll = 16;
  for (std::size_t digits = kFewest; digits < kAll; ++digits) {
    const bool enough = std::all_of(contents.begin(), contents.end(), [&](const auto& one) {
      std::set<std::string> beginnings;
      for (const std::string& memory : one.second) beginnings.insert(memory.substr(0, digits));
      return beginnings.size() == one.second.size();
    });
    if (enough) return digits;
  }
  return kAll;
}

/// One name may stand for several policies: `default` of another version, a file that was evolved further, other protected
/// tokens.
void tell_apart(ReportContent& content) {
  Contents contents;
  for (const eval::ResultRecord& record : content.records)
    if (!is_full(record)) contents[record.policy].insert(record.memory);
  // details did not always tell their content: then it is what the results beside them are of
  for (const eval::RetentionDetails& retention : content.details.retentions)
    if (retention.policy != kFullPolicy && !retention.memory.empty()) contents[retention.policy].insert(retention.memory);
  const std::size_t digits = digits_needed(contents);
  const auto relabel = [&](auto& item) {
    if (item.policy == kFullPolicy || item.memory.empty() || contents.at(item.policy).size() == 1) return;
    const std::string label = item.policy + " " + item.memory.substr(0, digits);
    if (content.from_file.contains(item.policy)) content.from_file.insert(label);
    item.policy = label;
  };
  std::for_each(content.records.begin(), content.records.end(), relabel);
  std::for_each(content.details.retentions.begin(), content.details.retentions.end(), relabel);
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
  label_policies(out);
  return out;
}

void label_policies(ReportContent& out) {
  std::vector<std::string> names;
  for (const eval::ResultRecord& record : out.records) names.push_back(record.policy);
  for (const eval::RetentionDetails& retention : out.details.retentions) names.push_back(retention.policy);
  const auto labels = policy_labels(names);
  for (const auto& [name, label] : labels)
    if (has_policy_ending(name)) out.from_file.insert(label);
  for (eval::ResultRecord& record : out.records) record.policy = labels.at(record.policy);
  for (eval::RetentionDetails& retention : out.details.retentions) retention.policy = labels.at(retention.policy);
  tell_apart(out);
}

}  // namespace namm::report
