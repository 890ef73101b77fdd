#include <algorithm>
#include <nlohmann/json.hpp>

#include "namm/json_fields.hpp"
#include "namm/policies/key_probe.hpp"
#include "namm/policies/make.hpp"
#include "namm/policies/network_policy.hpp"

namespace namm {

void KeyProbePolicy::score(const HeadTokens& tokens, std::span<float> scores) const {
  std::copy(tokens.content.begin(), tokens.content.end(), scores.begin());
}

nlohmann::json KeyProbePolicy::to_json() const {
  return {{"probe", probe_->to_json()}};
}

std::shared_ptr<const TokenProbe> probe_of(const Policy& policy) {
  if (const auto* const alone = dynamic_cast<const KeyProbePolicy*>(&policy)) return alone->probe();
  if (const auto* const network = dynamic_cast<const NetworkPolicy*>(&policy)) return network->probe();
  return nullptr;
}

std::unique_ptr<Policy> make_key_probe(const nlohmann::json& settings) {
  const detail::JsonFields fields(settings, "policy.");
  fields.allow_only({"probe"});
  if (!fields.has("probe"))
    fields.refuse("probe", "the probes of one model", "'namm calibrate' writes a policy file with them; name that file");
  return std::make_unique<KeyProbePolicy>(TokenProbe::from_json(fields.need("probe"), "policy.probe."));
}

}  // namespace namm
