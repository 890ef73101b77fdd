#include "report/policy_labels.hpp"

#include <filesystem>
#include <set>

#include "core/policy_file.hpp"

namespace namm::report {
namespace {

std::string label_of(const std::string& policy) {
  const std::filesystem::path path(policy);
  if (!has_policy_ending(policy)) return policy;
  const std::string folder = path.parent_path().filename().string();
  return path.stem() == "policy" && !folder.empty() ? folder : path.stem().string();
}

}  // namespace

std::map<std::string, std::string> policy_labels(std::span<const std::string> policies) {
  std::map<std::string, std::set<std::string>> users;
  for (const std::string& policy : policies) users[label_of(policy)].insert(policy);
  std::map<std::string, std::string> out;
  for (const auto& [label, names] : users)
    for (const std::string& name : names) out[name] = names.size() == 1 ? label : name;
  return out;
}

}  // namespace namm::report
