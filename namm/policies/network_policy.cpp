#include "namm/policies/network_policy.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace namm {
namespace {

bool all_finite(std::span<const float> values) {
  return std::all_of(values.begin(), values.end(), [](float value) { return std::isfinite(value); });
}

}  // namespace

NetworkPolicy::NetworkPolicy(std::string_view name, const FeatureSet& features, std::shared_ptr<const ScoreNetwork> network)
    : name_(name), features_(&features), network_(std::move(network)), weights_(network_->parameter_count(features.width)) {}

void NetworkPolicy::score(const HeadTokens& tokens, std::span<float> scores) const {
  std::vector<float> features(tokens.size() * features_->width);
  features_->compute(tokens, normalisation_, features);
  network_->score(features, features_->width, weights_, scores);
  if (features_->base == kNoBase) return;
  for (std::size_t i = 0; i < scores.size(); ++i) scores[i] += features[i * features_->width + features_->base];
}

void NetworkPolicy::set_parameters(std::span<const float> parameters) {
  detail::check_parameters(name_, parameters, weights_.size());
  std::copy(parameters.begin(), parameters.end(), weights_.begin());
}

void NetworkPolicy::set_normalisation(Normalisation normalisation) {
  const std::size_t count = features_->normalised.size();
  const bool identity = normalisation.mean.empty() && normalisation.variance.empty();
  if (!identity && (normalisation.mean.size() != count || normalisation.variance.size() != count)) {
    throw std::invalid_argument("policy " + name_ + ": normalisation must have " + std::to_string(count) +
                                " means and variances, has " + std::to_string(normalisation.mean.size()) + " and " +
                                std::to_string(normalisation.variance.size()));
  }
  if (!all_finite(normalisation.mean) || !all_finite(normalisation.variance) ||
      std::any_of(normalisation.variance.begin(), normalisation.variance.end(), [](float value) { return value < 0; })) {
    throw std::invalid_argument("policy " + name_ + ": normalisation must be finite with variances of 0 or more");
  }
  normalisation_ = std::move(normalisation);
}

nlohmann::json NetworkPolicy::to_json() const {
  nlohmann::json out = nlohmann::json::object();
  out["features"] = features_->name;
  network_->describe(out);
  out["normalisation"] = {{"mean", detail::numbers_of(normalisation_.mean)},
                          {"variance", detail::numbers_of(normalisation_.variance)}};
  out["weights"] = detail::numbers_of(weights_);
  if (probe_) out["probe"] = probe_->to_json();
  return out;
}

void NetworkPolicy::read(const detail::JsonFields& fields) {
  if (fields.has("normalisation")) {
    const detail::JsonFields part = fields.object("normalisation");
    part.allow_only({"mean", "variance"});
    // two empty lists are the identity
    const bool identity = part.need("mean").is_array() && part.need("mean").empty();
    const std::size_t count = identity ? 0 : features_->normalised.size();
    Normalisation normalisation{part.numbers("mean", count), part.numbers("variance", count)};
    if (std::any_of(normalisation.variance.begin(), normalisation.variance.end(), [](float value) { return value < 0; })) {
      part.refuse("variance", "0 or more everywhere");
    }
    set_normalisation(std::move(normalisation));
  }
  if (fields.has("weights")) weights_ = fields.numbers("weights", weights_.size());
  if (!features_->required.has(Statistic::content)) {
    if (fields.has("probe")) fields.refuse("probe", "absent: features " + std::string(features_->name) + " have none");
  } else if (fields.has("probe")) {
    probe_ = TokenProbe::from_json(fields.need("probe"), "policy.probe.");
  } else if (fields.has("weights")) {
    fields.refuse("probe", "present with features " + std::string(features_->name));
  }
}

const FeatureSet& detail::read_feature_set(const JsonFields& fields) {
  const std::string name = fields.has("features") ? fields.text("features") : "paper";
  std::string known;
  for (const FeatureSet& set : feature_sets()) {
    if (set.name == name) return set;
    known += (known.empty() ? "" : " or ") + std::string(set.name);
  }
  fields.refuse("features", known);
}

}  // namespace namm
