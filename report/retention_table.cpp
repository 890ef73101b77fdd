#include "report/retention_table.hpp"

#include <array>
#include <ostream>

#include "base/format.hpp"

namespace namm::report {
namespace {

std::string share(const KeptCount& count) {
  return format_number("%.0f %%", 100 * count.share());
}

/// Heads of the columns where they have to be narrow.
constexpr std::array<const char*, eval::kTokenKinds> kShortNames = {"space",  "punct.", "function", "words",  "names",
                                                                    "digits", "ident.", "comment",  "control"};

}  // namespace

void print_kinds(std::ostream& out, std::span<const Retention> retentions, TableFormat format, bool wide) {
  if (retentions.empty()) return;
  std::array<bool, eval::kTokenKinds> there{};
  bool modes = wide, models = false, intervals = wide;
  for (const Retention& retention : retentions) {
    modes = modes || (retention.mode != retentions.back().mode && !retention.mode.empty());
    models = models || retention.model != retentions.back().model;
    intervals = intervals || retention.interval_tokens != retentions.back().interval_tokens;
    for (const Retention::Task& task : retention.tasks)
      for (std::size_t k = 0; k < eval::kTokenKinds; ++k) there[k] = there[k] || wide || task.kinds[k].tokens > 0;
  }
  std::vector<std::string> head = {"policy"};
  if (models) head.emplace_back("model");
  head.emplace_back("budget");
  if (modes) head.emplace_back("mode");
  if (intervals) head.emplace_back("interval");
  head.insert(head.end(), {"task", "all"});
  for (std::size_t k = 0; k < eval::kTokenKinds; ++k)
    if (there[k]) head.emplace_back(wide ? std::string(eval::kKindNames[k]) : kShortNames[k]);
  std::vector<std::vector<std::string>> rows;
  for (const Retention& retention : retentions)
    for (const Retention::Task& task : retention.tasks) {
      KeptCount all;
      for (const KeptCount& kind : task.kinds) all += kind;
      std::vector<std::string> row = {retention.policy};
      if (models) row.push_back(retention.model);
      row.push_back(retention.budget);
      if (modes) row.push_back(retention.mode);
      if (intervals) row.push_back(std::to_string(retention.interval_tokens));
      row.insert(row.end(), {task.name, share(all)});
      for (std::size_t k = 0; k < eval::kTokenKinds; ++k)
        if (there[k]) row.push_back(share(task.kinds[k]));
      rows.push_back(std::move(row));
    }
  print_heading(out, "kept by kind of token, share of (layer, KV head, token) entries", format);
  print_table(out, head, rows, 3u + models + modes + intervals, format, wide);
  out << '\n';
}

}  // namespace namm::report
