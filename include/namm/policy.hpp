#pragma once
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "namm/content_reader.hpp"
#include "namm/statistics.hpp"

namespace namm {

/// Decides how much each cached token is worth. Stateless between calls: all history is in the statistics.
/// One (layer, KV head) is scored on its own; score() is called from several threads at once.
class Policy {
 public:
  virtual ~Policy() = default;
  /// Registry name, e.g. "h2o".
  virtual std::string_view name() const = 0;
  virtual StatisticSet required() const = 0;
  /// What fills Statistic::content, if required() names it; else null. Lives as long as the policy.
  virtual const ContentReader* reader() const { return nullptr; }
  /// True if every token is kept whatever the budget (the policy `full`).
  virtual bool keeps_everything() const { return false; }
  /// True if the heads of a layer share one choice: a token's score is the mean of its scores in the KV heads of its layer that
  /// hold it.
  virtual bool chooses_per_layer() const { return false; }
  /// The share of the budget that is the newest tokens' whatever their scores, 0 to 1.
  virtual double recent_share() const { return 0; }
  /// Writes one score per token, higher = keep. scores.size() == tokens.size(), which may be 0.
  virtual void score(const HeadTokens& tokens, std::span<float> scores) const = 0;

  /// What evolution changes, flat. Empty for policies without parameters.
  virtual std::size_t parameter_count() const { return 0; }
  virtual std::vector<float> parameters() const { return {}; }
  /// Throws std::invalid_argument on a wrong count or a value that is not finite.
  virtual void set_parameters(std::span<const float> parameters);
  virtual std::unique_ptr<Policy> clone() const = 0;
  /// Kind-specific part of the policy file (weights, feature set, normalisation, ...); read back by its registry entry.
  virtual nlohmann::json to_json() const = 0;
};

/// How a policy is made by its name.
struct PolicyEntry {
  std::string name;     ///< 1 to 64 lower-case letters, digits and hyphens
  std::string summary;  ///< one line for --help, with the source
  /// Builds the policy from its part of a policy file (Policy::to_json); an empty object means defaults (all-zero weights for
  /// networks). Policies that are `fitted` have none: they exist in files only. Throws std::runtime_error when the content is
  /// wrong: subject, rule, value seen, remedy.
  std::function<std::unique_ptr<Policy>(const nlohmann::json& settings)> make;
  bool fitted = false;
};

/// From now on the policy loads, attaches, evaluates and evolves by this name, like those that come with the library. Not
/// thread-safe: register at the start of the program. Throws std::invalid_argument if the name is taken or cannot be one.
void register_policy(PolicyEntry entry);

/// All policies, those that come with the library first, in the order in which help and reports list them.
const std::deque<PolicyEntry>& policy_registry();

/// A new one by its registered name; "default" and files are load_policy()'s (cache_policy.hpp). Throws std::invalid_argument
/// that names the nearest registered names if `name` is unknown.
std::unique_ptr<Policy> make_policy(std::string_view name);
std::unique_ptr<Policy> make_policy(std::string_view name, const nlohmann::json& settings);

}  // namespace namm
