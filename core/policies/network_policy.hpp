#pragma once
#include <memory>
#include <string>
#include <vector>

#include "base/json_fields.hpp"
#include "core/features/feature_set.hpp"
#include "core/networks/score_network.hpp"
#include "core/policies/key_probe.hpp"
#include "namm/policy.hpp"

namespace namm {

/// A policy that is token features, a normalisation and a score network: `namm`, `namm-mlp`, `linear`. Evolution changes the
/// weights, and gathers the normalisation before. Where the features have a probe, the score is that of the
/// calibrated policy it comes from plus the network's output: evolution starts from that policy.
class NetworkPolicy final : public Policy {
 public:
  /// Weights start at zero, the normalisation as identity.
  NetworkPolicy(std::string_view name, const FeatureSet& features, std::shared_ptr<const ScoreNetwork> network);

  std::string_view name() const override { return name_; }
  StatisticSet required() const override { return features_->required; }
  const ContentReader* reader() const override { return base_ ? base_->reader() : nullptr; }
  void score(const HeadTokens& tokens, std::span<float> scores) const override;
  std::size_t parameter_count() const override { return weights_.size(); }
  std::vector<float> parameters() const override { return weights_; }
  void set_parameters(std::span<const float> parameters) override;
  /// All weights zero but for the read-out of the features: weights [width], then a constant, which a network without one leaves
  /// out. The order of the tokens is that of a `linear` policy with these weights. Throws std::invalid_argument on a wrong count
  /// or a value that is not finite.
  void set_read_out(std::span<const float> weights);
  std::unique_ptr<Policy> clone() const override { return std::make_unique<NetworkPolicy>(*this); }
  /// {"features": name, "normalisation": {"mean": [...], "variance": [...]}, "weights": [...]}, the fields of the network's
  /// shape; where the features have a probe, the fields of the calibrated policy and "base": "calibrated".
  nlohmann::json to_json() const override;
  /// Reads normalisation and weights back; absent fields stay as they are. Throws std::runtime_error.
  void read(const detail::JsonFields& fields);

  const FeatureSet& features() const { return *features_; }
  const Normalisation& normalisation() const { return normalisation_; }
  /// Throws std::invalid_argument on a wrong count, a value that is not finite or a negative variance.
  void set_normalisation(Normalisation normalisation);
  /// The calibrated policy that the network's output is added to; null without a probe among the features, and until read().
  const std::shared_ptr<const KeyProbePolicy>& base() const { return base_; }

 private:
  std::string name_;
  const FeatureSet* features_;
  std::shared_ptr<const ScoreNetwork> network_;
  Normalisation normalisation_;
  std::vector<float> weights_;
  std::shared_ptr<const KeyProbePolicy> base_;
};

/// The calibrated policy that a policy adds to, or a copy of it if it is one; null if there is none.
std::shared_ptr<const KeyProbePolicy> calibrated_of(const Policy& policy);

namespace detail {
/// The feature set that the field "features" names; "paper" if absent. Throws std::runtime_error.
const FeatureSet& read_feature_set(const JsonFields& fields);
}  // namespace detail

}  // namespace namm
