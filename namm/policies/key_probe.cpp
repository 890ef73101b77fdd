#include <algorithm>
#include <nlohmann/json.hpp>

#include "namm/json_fields.hpp"
#include "namm/policies/key_probe.hpp"
#include "namm/policies/make.hpp"
#include "namm/policies/network_policy.hpp"

namespace namm {

KeyProbePolicy::KeyProbePolicy(std::shared_ptr<const TokenProbe> probe) : probe_(std::move(probe)) {
  std::size_t heads = 0;
  for (const ProbeLayer& layer : probe_->layers()) heads += static_cast<std::size_t>(layer.kv_heads);
  offsets_.assign(heads, 0.0f);
}

void KeyProbePolicy::score(const HeadTokens& tokens, std::span<float> scores) const {
  const float offset = offset_of(tokens.layer, tokens.kv_head);
  for (std::size_t i = 0; i < scores.size(); ++i) scores[i] = tokens.content[i] + offset;
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
  if (std::any_of(offsets_.begin(), offsets_.end(), [](float x) { return x != 0; }))
    out["offsets"] = detail::numbers_of(offsets_);
  return out;
}

std::shared_ptr<const TokenProbe> probe_of(const Policy& policy) {
  if (const auto* const alone = dynamic_cast<const KeyProbePolicy*>(&policy)) return alone->probe();
  if (const auto* const network = dynamic_cast<const NetworkPolicy*>(&policy)) return network->probe();
  return nullptr;
}

std::unique_ptr<Policy> make_key_probe(const nlohmann::json& settings) {
  const detail::JsonFields fields(settings, "policy.");
  fields.allow_only({"probe", "offsets"});
  if (!fields.has("probe"))
    fields.refuse("probe", "the probes of one model", "'namm calibrate' writes a policy file with them; name that file");
  auto out = std::make_unique<KeyProbePolicy>(TokenProbe::from_json(fields.need("probe"), "policy.probe."));
  if (fields.has("offsets")) out->set_parameters(fields.numbers("offsets", out->parameter_count()));
  return out;
}

}  // namespace namm
