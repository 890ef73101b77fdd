#include "report/unlike.hpp"

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

namespace namm::report {

std::string unlike_policies(const ResultRows& rows) {
  std::vector<std::pair<std::string, std::set<std::string>>> policies;  // in the order of the table
  for (const eval::ResultRecord& r : rows) {
    if (is_full(r)) continue;
    auto place = std::find_if(policies.begin(), policies.end(), [&](const auto& one) { return one.first == r.policy; });
    if (place == policies.end()) place = policies.insert(policies.end(), {r.policy, {}});
    const bool once = r.settings.value("compress", nlohmann::json()) == "once";  // then no interval counts
    std::string way = r.mode;
    if (!once) way.append("/").append(std::to_string(r.interval_tokens));
    place->second.insert(std::move(way));
  }
  const bool alike =
      std::all_of(policies.begin(), policies.end(), [&](const auto& one) { return one.second == policies.front().second; });
  if (alike) return {};
  std::string out;
  for (const auto& [policy, ways] : policies) {
    out += (out.empty() ? "" : ", ") + policy;
    for (const std::string& way : ways) out += " " + way;
  }
  return out;
}

}  // namespace namm::report
