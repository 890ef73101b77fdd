#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>
#include <string>

#include "base/json_fields.hpp"
#include "core/policies/check_parameters.hpp"
#include "core/policies/key_probe.hpp"
#include "core/policies/make.hpp"

namespace namm {
namespace {

constexpr float kHalfAge = 64;  // tokens older than the newest by this count half at a recency of 1 (experiments/calibrate)
constexpr float kLargestRecency = 4;

bool is_recency(float value) {
  return value >= 0 && value <= kLargestRecency;
}

}  // namespace

KeyProbePolicy::KeyProbePolicy(std::shared_ptr<const TokenProbe> probe, float recency)
    : probe_(std::move(probe)), recency_(recency) {
  check_recency(recency);
  std::size_t heads = 0;
  for (const ProbeLayer& layer : probe_->layers()) heads += static_cast<std::size_t>(layer.kv_heads);
  offsets_.assign(heads, 0.0f);
}

void KeyProbePolicy::check_recency(float recency) {
  if (is_recency(recency)) return;
  std::ostringstream text;
  text << "recency: must be from 0 to " << kLargestRecency << ", is " << recency << "; 1 is usual, 0 leaves the age out";
  throw std::invalid_argument(text.str());
}

void KeyProbePolicy::score(const HeadTokens& tokens, std::span<float> scores) const {
  const float offset = offset_of(tokens.layer, tokens.kv_head);
  const std::int32_t newest = tokens.positions.empty() ? 0 : tokens.positions.back();
  for (std::size_t i = 0; i < scores.size(); ++i) {
    scores[i] = tokens.content[i] + offset;
    if (recency_ != 0) scores[i] -= recency_ * std::log(1 + static_cast<float>(newest - tokens.positions[i]) / kHalfAge);
  }
}

float KeyProbePolicy::offset_of(int layer, int kv_head) const {
  std::size_t first = 0;
  for (const ProbeLayer& known : probe_->layers()) {
    if (known.layer == layer) return kv_head < known.kv_heads ? offsets_[first + static_cast<std::size_t>(kv_head)] : 0.0f;
    first += static_cast<std::size_t>(known.kv_heads);
  }
  return 0;  // the probe refused such a layer when its tokens came in
}

void KeyProbePolicy::set_parameters(std::span<const float> parameters) {
  detail::check_parameters(name(), parameters, offsets_.size());
  offsets_.assign(parameters.begin(), parameters.end());
}

nlohmann::json KeyProbePolicy::to_json() const {
  nlohmann::json out = {{"probe", probe_->to_json()}};
  if (recency_ != 0) out["recency"] = detail::number_of(recency_);
  if (std::any_of(offsets_.begin(), offsets_.end(), [](float x) { return x != 0; }))
    out["offsets"] = detail::numbers_of(offsets_);
  return out;
}

KeyProbePolicy KeyProbePolicy::from_fields(const detail::JsonFields& fields) {
  if (!fields.has("probe"))
    fields.refuse("probe", "the probes of one model", "'namm calibrate' writes a policy file with them; name that file");
  const float recency = fields.has("recency") ? fields.number("recency") : 0.0f;
  if (!is_recency(recency)) fields.refuse("recency", "a number from 0 to 4");
  KeyProbePolicy out(TokenProbe::from_json(fields.need("probe"), "policy.probe."), recency);
  if (fields.has("offsets")) out.set_parameters(fields.numbers("offsets", out.parameter_count()));
  return out;
}

std::unique_ptr<Policy> make_key_probe(const nlohmann::json& settings) {
  const detail::JsonFields fields(settings, "policy.");
  fields.allow_only({"probe", "offsets", "recency"});
  return std::make_unique<KeyProbePolicy>(KeyProbePolicy::from_fields(fields));
}

std::shared_ptr<const Policy> with_recency(const Policy& policy, float recency) {
  const auto* const calibrated = dynamic_cast<const KeyProbePolicy*>(&policy);
  if (calibrated == nullptr)
    throw std::invalid_argument("recency: must belong to a policy of 'namm calibrate', this is " + std::string(policy.name()));
  auto out = std::make_shared<KeyProbePolicy>(calibrated->probe(), recency);
  out->set_parameters(calibrated->parameters());
  return out;
}

}  // namespace namm
