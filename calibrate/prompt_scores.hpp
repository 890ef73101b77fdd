#pragma once
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "namm/policy.hpp"

namespace namm::calibrate {

/// What hindsight found out about one prompt: scores of the tokens of its context, by layer, KV head and position. Tokens behind
/// the context are worth more than any of them.
class PromptScores final : public Policy {
 public:
  using ByHead = std::vector<std::vector<float>>;  ///< [kv_head][position]
  /// `name` of the hindsight.
  PromptScores(std::string_view name, std::map<int, ByHead> scores) : name_(name), scores_(std::move(scores)) {}
  std::string_view name() const override { return name_; }
  StatisticSet required() const override { return {}; }
  void score(const HeadTokens& tokens, std::span<float> scores) const override {
    const std::vector<float>& known = scores_.at(tokens.layer).at(static_cast<std::size_t>(tokens.kv_head));
    for (std::size_t i = 0; i < scores.size(); ++i) {
      const auto position = static_cast<std::size_t>(tokens.positions[i]);
      scores[i] = position < known.size() ? known[position] : 1e30f;
    }
  }
  std::unique_ptr<Policy> clone() const override { return std::make_unique<PromptScores>(*this); }
  nlohmann::json to_json() const override { return nlohmann::json::object(); }

 private:
  std::string name_;
  std::map<int, ByHead> scores_;
};

}  // namespace namm::calibrate
