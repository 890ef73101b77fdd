#include <algorithm>

#include "core/policies/formula.hpp"
#include "core/policies/make.hpp"

namespace namm {
namespace {

/// The full cache: every token stays whatever the budget.
class FullPolicy final : public Policy {
 public:
  std::string_view name() const override { return "full"; }
  StatisticSet required() const override { return {}; }
  bool keeps_everything() const override { return true; }
  void score(const HeadTokens&, std::span<float> scores) const override { std::fill(scores.begin(), scores.end(), 0.0f); }
  std::unique_ptr<Policy> clone() const override { return std::make_unique<FullPolicy>(*this); }
  nlohmann::json to_json() const override { return nlohmann::json::object(); }
};

}  // namespace

std::unique_ptr<Policy> make_full(const nlohmann::json& settings) {
  detail::JsonFields(settings, "policy.").allow_only({});
  return std::make_unique<FullPolicy>();
}

}  // namespace namm
