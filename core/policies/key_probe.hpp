#pragma once
#include <memory>
#include <optional>
#include <vector>

#include "core/probe/token_probe.hpp"
#include "namm/policy.hpp"

namespace namm {
namespace detail {
class JsonFields;
}

/// A token is worth what its probe reads from it, an estimate of what it will add to the head's output (ln), plus an offset of
/// its head, what that head's attention is worth to the model. Comparable across heads, so made for pooled budgets. Reads no
/// attention. Heads that attend evenly to all tokens are misled by those that score best from anywhere, and not by the newest
/// (docs/calibrate.md): within each head the worths are handed out anew, the largest to the token that is best by
/// worth - recency x evenness of the head x ln(1 + age / 64), and so on; the age in tokens, 0 of the newest. So what the tokens
/// that a head holds are worth together, beside those of other heads, does not depend on their age. Policies of earlier versions
/// have no evenness: there recency x ln(1 + age / 64) is taken from every token's worth, across heads, too. `namm calibrate` fits
/// the probe, measures the evenness and sets the recency; the offsets, one per (layer, KV head), begin as zeros and are what
/// evolution changes.
class KeyProbePolicy final : public Policy {
 public:
  /// `evenness`: of the heads of the probe's layers, in their order, each 0 to 1; or none. Throws as check_recency(), and
  /// std::invalid_argument on another number of heads or a number outside 0 to 1.
  explicit KeyProbePolicy(std::shared_ptr<const TokenProbe> probe, float recency = 0, std::vector<float> evenness = {});
  /// Throws std::invalid_argument unless 0 <= recency <= 4.
  static void check_recency(float recency);
  /// From the fields that to_json() writes; others are not looked at. Throws std::runtime_error.
  static KeyProbePolicy from_fields(const detail::JsonFields& fields);
  std::string_view name() const override { return "key-probe"; }
  StatisticSet required() const override { return Statistic::content; }
  const ContentReader* reader() const override { return probe_.get(); }
  const std::shared_ptr<const TokenProbe>& probe() const { return probe_; }
  float recency() const { return recency_; }
  const std::vector<float>& evenness() const { return evenness_; }
  void score(const HeadTokens& tokens, std::span<float> scores) const override;
  std::size_t parameter_count() const override { return offsets_.size(); }
  std::vector<float> parameters() const override { return offsets_; }
  void set_parameters(std::span<const float> parameters) override;
  std::unique_ptr<Policy> clone() const override { return std::make_unique<KeyProbePolicy>(*this); }
  /// {"probe": TokenProbe, "recency": 2, "evenness": [...], "offsets": [...]}; a recency of zero, no evenness and offsets that
  /// are all zero are left out.
  nlohmann::json to_json() const override;

 private:
  /// Its number among the heads of the probe's layers; none of a head that the probe does not know.
  std::optional<std::size_t> number_of(int layer, int kv_head) const;

  std::shared_ptr<const TokenProbe> probe_;
  float recency_;
  std::vector<float> evenness_;  // of the heads of the probe's layers, in their order; empty in files of earlier versions
  std::vector<float> offsets_;   // of the same
};

/// The same calibrated policy, its offsets and evenness kept, with another recency. Throws std::invalid_argument if the policy is
/// of another kind, and as check_recency().
std::shared_ptr<const Policy> with_recency(const Policy& policy, float recency);

}  // namespace namm
