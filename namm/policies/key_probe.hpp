#pragma once
#include <memory>

#include "namm/policies/policy.hpp"
#include "namm/probe/token_probe.hpp"

namespace namm {

/// A token is worth what its probe reads from it: an estimate of ln(attention it will receive), comparable across heads, so made
/// for pooled budgets. Reads no attention. Fitted by `namm calibrate`.
class KeyProbePolicy final : public Policy {
 public:
  explicit KeyProbePolicy(std::shared_ptr<const TokenProbe> probe) : probe_(std::move(probe)) {}
  std::string_view name() const override { return "key-probe"; }
  StatisticSet required() const override { return Statistic::content; }
  const ContentReader* reader() const override { return probe_.get(); }
  const std::shared_ptr<const TokenProbe>& probe() const { return probe_; }
  void score(const HeadTokens& tokens, std::span<float> scores) const override;
  std::unique_ptr<Policy> clone() const override { return std::make_unique<KeyProbePolicy>(*this); }
  /// {"probe": TokenProbe}
  nlohmann::json to_json() const override;

 private:
  std::shared_ptr<const TokenProbe> probe_;
};

/// The probe that a policy reads with; null if it has none.
std::shared_ptr<const TokenProbe> probe_of(const Policy& policy);

}  // namespace namm
