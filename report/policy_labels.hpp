#pragma once
#include <map>
#include <span>
#include <string>

namespace namm::report {

/// Short names for reports: of a policy file the name without folders and ending, of `FOLDER/policy.json` the folder's name; any
/// other name stays. Names that would become the same stay as they are.
std::map<std::string, std::string> policy_labels(std::span<const std::string> policies);

}  // namespace namm::report
