#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "core/policies/policy.hpp"

namespace namm {

/// One line of the registry.
struct PolicyEntry {
  std::string_view name;
  std::string_view summary;  ///< one line for --help, with the source
  /// Builds the policy from its part of a policy file; an empty object means defaults (all-zero weights for networks). Policies
  /// that are `fitted` have none: they exist in files only.
  /// Throws std::runtime_error when the content is wrong: subject, rule, value seen, remedy.
  std::unique_ptr<Policy> (*make)(const nlohmann::json& settings);
  bool fitted = false;
};

/// All policies, in the order in which help and reports list them.
std::span<const PolicyEntry> policy_registry();

/// Throws std::invalid_argument that names the nearest registered names if `name` is unknown.
std::unique_ptr<Policy> make_policy(std::string_view name);
std::unique_ptr<Policy> make_policy(std::string_view name, const nlohmann::json& settings);

}  // namespace namm
