#include "core/policies/network_policy.hpp"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "core/policies/check_parameters.hpp"

namespace namm {
namespace {

constexpr const char* kCalibrated = "calibrated";

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
  if (!base_) return;
  std::vector<float> base(tokens.size());
  base_->score(tokens, base);
  for (std::size_t i = 0; i < scores.size(); ++i) scores[i] += base[i];
}

void NetworkPolicy::set_parameters(std::span<const float> parameters) {
  detail::check_parameters(name_, parameters, weights_.size());
  std::copy(parameters.begin(), parameters.end(), weights_.begin());
}

void NetworkPolicy::set_read_out(std::span<const float> weights) {
  detail::check_parameters(name_, weights, features_->width + 1);
  const std::size_t first = network_->read_out(features_->width);
  std::fill(weights_.begin(), weights_.end(), 0.0f);
  std::copy_n(weights.begin(), weights_.size() - first, weights_.begin() + static_cast<std::ptrdiff_t>(first));
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
  if (base_) {
    out.update(base_->to_json());
    out["base"] = kCalibrated;
  }
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
    for (const char* const name : {"probe", "base", "offsets", "recency", "evenness"})
      if (fields.has(name)) fields.refuse(name, "absent: features " + std::string(features_->name) + " have no probe");
    return;
  }
  if (!fields.has("probe")) {
    for (const char* const name : {"weights", "base", "offsets", "recency", "evenness"})
      if (fields.has(name)) fields.refuse("probe", "present with features " + std::string(features_->name));
    return;
  }
  // earlier versions added the network to the normalised feature instead, and their weights were evolved for that
  if (fields.has("weights") && !fields.has("base"))
    fields.refuse("base", "\"calibrated\"",
                  "the file is of an earlier version, whose weights mean something else; evolve it anew");
  if (fields.has("base") && fields.text("base") != kCalibrated) fields.refuse("base", "\"calibrated\"");
  base_ = std::make_shared<KeyProbePolicy>(KeyProbePolicy::from_fields(fields));
}

std::shared_ptr<const KeyProbePolicy> calibrated_of(const Policy& policy) {
  if (const auto* const alone = dynamic_cast<const KeyProbePolicy*>(&policy)) return std::make_shared<KeyProbePolicy>(*alone);
  if (const auto* const network = dynamic_cast<const NetworkPolicy*>(&policy)) return network->base();
  return nullptr;
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
