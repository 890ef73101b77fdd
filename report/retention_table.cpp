#include "report/retention_table.hpp"

#include <ostream>

#include "base/format.hpp"

namespace namm::report {
namespace {

std::string share(const KeptCount& count) {
  return format_number("%.0f %%", 100 * count.share());
}

}  // namespace

void print_kinds(std::ostream& out, std::span<const Retention> retentions, TableFormat format) {
  if (retentions.empty()) return;
  std::vector<std::string> head = {"policy", "budget", "mode", "task", "all"};
  head.insert(head.end(), eval::kKindNames.begin(), eval::kKindNames.end());
  std::vector<std::vector<std::string>> rows;
  for (const Retention& retention : retentions)
    for (const Retention::Task& task : retention.tasks) {
      KeptCount all;
      for (const KeptCount& kind : task.kinds) all += kind;
      std::vector<std::string> row = {retention.policy, retention.budget, retention.mode, task.name, share(all)};
      for (const KeptCount& kind : task.kinds) row.push_back(share(kind));
      rows.push_back(std::move(row));
    }
  print_heading(out, "kept by kind of token, share of (layer, KV head, token) entries", format);
  print_table(out, head, rows, 4, format);
  out << '\n';
}

}  // namespace namm::report
