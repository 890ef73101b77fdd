#pragma once
#include <memory>
#include <vector>

#include "namm/policies/policy.hpp"
#include "namm/probe/token_probe.hpp"

namespace namm {

/// A token is worth what its probe reads from it, an estimate of what it will add to the head's output (ln), plus an offset of
/// its head: what that head's attention is worth to the model. Comparable across heads, so made for pooled budgets. Reads no
/// attention. The probe is fitted by `namm calibrate`; the offsets, one per (layer, KV head), begin as zeros and are what
/// evolution changes.
class KeyProbePolicy final : public Policy {
 public:
  explicit KeyProbePolicy(std::shared_ptr<const TokenProbe> probe);
  std::string_view name() const override { return "key-probe"; }
  StatisticSet required() const override { return Statistic::content; }
  const ContentReader* reader() const override { return probe_.get(); }
  const std::shared_ptr<const TokenProbe>& probe() const { return probe_; }
  void score(const HeadTokens& tokens, std::span<float> scores) const override;
  std::size_t parameter_count() const override { return offsets_.size(); }
  std::vector<float> parameters() const override { return offsets_; }
  void set_parameters(std::span<const float> parameters) override;
  std::unique_ptr<Policy> clone() const override { return std::make_unique<KeyProbePolicy>(*this); }
  /// {"probe": TokenProbe, "offsets": [...]}; offsets that are all zero are left out.
  nlohmann::json to_json() const override;

 private:
  std::shared_ptr<const TokenProbe> probe_;
  float offset_of(int layer, int kv_head) const;
  std::vector<float> offsets_;  // of the heads of the probe's layers, in their order
};

/// The probe that a policy reads with; null if it has none.
std::shared_ptr<const TokenProbe> probe_of(const Policy& policy);

}  // namespace namm
