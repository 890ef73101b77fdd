#pragma once
#include <memory>
#include <nlohmann/json.hpp>

#include "base/json_fields.hpp"
#include "namm/policy.hpp"

namespace namm::detail {

/// A policy that is one formula without parameters. Traits: name, required, score(tokens, scores).
template <typename Traits>
class FormulaPolicy final : public Policy {
 public:
  std::string_view name() const override { return Traits::name; }
  StatisticSet required() const override { return Traits::required; }
  bool chooses_per_layer() const override {
    if constexpr (requires { Traits::per_layer; })
      return Traits::per_layer;
    else
      return false;
  }
  double recent_share() const override {
    if constexpr (requires { Traits::recent_share; })
      return Traits::recent_share;
    else
      return 0;
  }
  void score(const HeadTokens& tokens, std::span<float> scores) const override { Traits::score(tokens, scores); }
  std::unique_ptr<Policy> clone() const override { return std::make_unique<FormulaPolicy>(*this); }
  nlohmann::json to_json() const override { return nlohmann::json::object(); }
};

/// Builds one; its part of a policy file has no fields.
template <typename Traits>
std::unique_ptr<Policy> make_formula(const nlohmann::json& settings) {
  JsonFields(settings, "policy.").allow_only({});
  return std::make_unique<FormulaPolicy<Traits>>();
}

}  // namespace namm::detail
