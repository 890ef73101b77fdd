#pragma once
#include <memory>
#include <vector>

#include "core/probe/token_probe.hpp"
#include "namm/policy.hpp"

namespace namm {
namespace detail {
class JsonFields;
}

/// A token is worth what its probe reads from it, an estimate of what it will add to the head's output (ln), plus an offset of
/// its head, what that head's attention is worth to the model; less recency x ln(1 + age / 64), the age in tokens, 0 of the
/// newest. Without the latter, heads that attend evenly to all tokens keep those that score best from anywhere, which misleads
/// them, instead of the newest (docs/calibrate.md). Comparable across heads, so made for pooled budgets. Reads no attention.
/// `namm calibrate` fits the probe and sets the recency; the offsets, one per (layer, KV head), begin as zeros and are what
/// evolution changes.
class KeyProbePolicy final : public Policy {
 public:
  /// Throws as check_recency().
  explicit KeyProbePolicy(std::shared_ptr<const TokenProbe> probe, float recency = 0);
  /// Throws std::invalid_argument unless 0 <= recency <= 4.
  static void check_recency(float recency);
  /// From the fields that to_json() writes; others are not looked at. Throws std::runtime_error.
  static KeyProbePolicy from_fields(const detail::JsonFields& fields);
  std::string_view name() const override { return "key-probe"; }
  StatisticSet required() const override { return Statistic::content; }
  const ContentReader* reader() const override { return probe_.get(); }
  const std::shared_ptr<const TokenProbe>& probe() const { return probe_; }
  float recency() const { return recency_; }
  void score(const HeadTokens& tokens, std::span<float> scores) const override;
  std::size_t parameter_count() const override { return offsets_.size(); }
  std::vector<float> parameters() const override { return offsets_; }
  void set_parameters(std::span<const float> parameters) override;
  std::unique_ptr<Policy> clone() const override { return std::make_unique<KeyProbePolicy>(*this); }
  /// {"probe": TokenProbe, "recency": 1, "offsets": [...]}; a recency of zero and offsets that are all zero are left out.
  nlohmann::json to_json() const override;

 private:
  float offset_of(int layer, int kv_head) const;

  std::shared_ptr<const TokenProbe> probe_;
  float recency_;
  std::vector<float> offsets_;  // of the heads of the probe's layers, in their order
};

/// The same calibrated policy, its offsets kept, with another recency. Throws std::invalid_argument if the policy is of another
/// kind, and as check_recency().
std::shared_ptr<const Policy> with_recency(const Policy& policy, float recency);

}  // namespace namm
