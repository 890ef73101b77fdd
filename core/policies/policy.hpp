#pragma once
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "core/statistics/content_reader.hpp"
#include "core/statistics/head_statistics.hpp"

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
  /// Who wants to see every row of attention (recorders); null for policies that decide. Lives as long as the policy.
  virtual const AttentionListener* listener() const { return nullptr; }
  /// True if every token is kept whatever the budget (the policy `full`).
  virtual bool keeps_everything() const { return false; }
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

namespace detail {
/// Throws std::invalid_argument, naming the policy, if there are not `expected` parameters or one is not finite.
void check_parameters(std::string_view policy, std::span<const float> parameters, std::size_t expected);
}  // namespace detail

}  // namespace namm
