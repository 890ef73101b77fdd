#pragma once
#include <memory>
#include <string>
#include <vector>

#include "namm/features/feature_set.hpp"
#include "namm/json_fields.hpp"
#include "namm/networks/score_network.hpp"
#include "namm/policies/policy.hpp"
#include "namm/probe/token_probe.hpp"

namespace namm {

/// A policy that is token features, a normalisation and a score network: `namm`, `namm-mlp`, `linear`. Evolution changes the
/// weights; calibration sets the normalisation and the probe. Where the features have a base (FeatureSet::base), the score is
/// that feature plus the network's output: evolution starts from the probe alone.
class NetworkPolicy final : public Policy {
 public:
  /// Weights start at zero, the normalisation as identity.
  /// `probe`: what feature sets with a probe read; null for the others and until read() or set_probe().
  NetworkPolicy(std::string_view name, const FeatureSet& features, std::shared_ptr<const ScoreNetwork> network);

  std::string_view name() const override { return name_; }
  StatisticSet required() const override { return features_->required; }
  const ContentReader* reader() const override { return probe_.get(); }
  void score(const HeadTokens& tokens, std::span<float> scores) const override;
  std::size_t parameter_count() const override { return weights_.size(); }
  std::vector<float> parameters() const override { return weights_; }
  void set_parameters(std::span<const float> parameters) override;
  std::unique_ptr<Policy> clone() const override { return std::make_unique<NetworkPolicy>(*this); }
  /// {"features": name, "normalisation": {"mean": [...], "variance": [...]}, "weights": [...]}, the fields of the network's
  /// shape, and "probe" where the features have one.
  nlohmann::json to_json() const override;
  /// Reads normalisation and weights back; absent fields stay as they are. Throws std::runtime_error.
  void read(const detail::JsonFields& fields);

  const FeatureSet& features() const { return *features_; }
  const Normalisation& normalisation() const { return normalisation_; }
  /// Throws std::invalid_argument on a wrong count, a value that is not finite or a negative variance.
  void set_normalisation(Normalisation normalisation);
  const std::shared_ptr<const TokenProbe>& probe() const { return probe_; }
  void set_probe(std::shared_ptr<const TokenProbe> probe) { probe_ = std::move(probe); }

 private:
  std::string name_;
  const FeatureSet* features_;
  std::shared_ptr<const ScoreNetwork> network_;
  Normalisation normalisation_;
  std::vector<float> weights_;
  std::shared_ptr<const TokenProbe> probe_;
};

namespace detail {
/// The feature set that the field "features" names; "paper" if absent. Throws std::runtime_error.
const FeatureSet& read_feature_set(const JsonFields& fields);
}  // namespace detail

}  // namespace namm
