#include "core/policies/average.hpp"

#include "core/policies/key_probe.hpp"
#include "core/policies/network_policy.hpp"
#include "namm/policy.hpp"
#include "samples.hpp"
#include "tests/check.hpp"

using namespace namm;

namespace {

std::shared_ptr<const Policy> with_parameters(const PolicyEntry& entry, float first, float step) {
  std::unique_ptr<Policy> policy = entry.make(samples::settings_of(entry));
  std::vector<float> parameters(policy->parameter_count());
  for (std::size_t i = 0; i < parameters.size(); ++i) parameters[i] = first + step * static_cast<float>(i);
  policy->set_parameters(parameters);
  return policy;
}

}  // namespace

TEST_CASE("The average has the mean of all parameters and everything else of the first policy, whatever the policy") {
  for (const PolicyEntry& entry : policy_registry()) {
    CAPTURE(entry.name);
    const auto first = with_parameters(entry, 1.0f, 0.25f);
    if (first->parameter_count() == 0) {
      const std::vector<std::shared_ptr<const Policy>> policies = {first, first};
      CHECK_THROWS_WITH(average(policies), Contains("must have parameters"));
      continue;
    }
    const std::vector<std::shared_ptr<const Policy>> policies = {first, with_parameters(entry, -3.0f, 0.5f),
                                                                 with_parameters(entry, 8.0f, 0.0f)};
    const std::unique_ptr<Policy> mean = average(policies);
    CHECK(mean->parameters() == with_parameters(entry, 2.0f, 0.25f)->parameters());
    CHECK(mean->to_json() == with_parameters(entry, 2.0f, 0.25f)->to_json());
    CHECK(average(std::span(policies).first(1))->parameters() == first->parameters());
  }
  CHECK_THROWS_WITH(average({}), Contains("at least one"));
}

TEST_CASE("Policies whose parameters mean different things are not averaged") {
  const std::shared_ptr<const Policy> light = make_policy("linear", {{"features", "light"}});
  CHECK_THROWS_WITH(require_averageable(*light, *make_policy("namm")), Contains("must be linear as the first, is namm"));
  CHECK_THROWS_WITH(require_averageable(*light, *make_policy("linear", {{"features", "extended"}})), Contains("policy.features"));
  const std::unique_ptr<Policy> scaled = light->clone();
  const std::size_t count = dynamic_cast<const NetworkPolicy&>(*light).features().normalised.size();
  dynamic_cast<NetworkPolicy&>(*scaled).set_normalisation({std::vector<float>(count, 0.0f), std::vector<float>(count, 4.0f)});
  CHECK_THROWS_WITH(require_averageable(*light, *scaled), Contains("policy.normalisation"));
}

TEST_CASE("Calibrated policies are averaged across probes of the same layers and heads, no others") {
  const auto probe_of = [](int layer, int kv_heads, float weight) {
    const std::size_t weights = static_cast<std::size_t>(kv_heads) * 5;  // keys of 4 and a constant
    return KeyProbePolicy(std::make_shared<TokenProbe>(
        ProbeInput::key, std::vector<ProbeLayer>{{layer, kv_heads, 4, 4, std::vector<float>(weights, weight)}}));
  };
  const KeyProbePolicy first = probe_of(5, 3, 1.0f);
  CHECK_NOTHROW(require_averageable(first, probe_of(5, 3, 2.0f)));
  CHECK_THROWS_WITH(require_averageable(first, probe_of(6, 3, 1.0f)), Contains("policy.layers"));
  CHECK_THROWS_WITH(require_averageable(first, probe_of(5, 2, 1.0f)), Contains("policy.layers"));
  CHECK_THROWS_WITH(require_averageable(first, KeyProbePolicy(first.probe(), 0.5f)), Contains("policy.recency"));
  const KeyProbePolicy knowing(first.probe(), 1.0f, std::vector<float>(first.parameter_count(), 0.5f));
  CHECK_THROWS_WITH(require_averageable(first, knowing), Contains("policy.evenness"));
  require_averageable(knowing, KeyProbePolicy(first.probe(), 1.0f, std::vector<float>(first.parameter_count(), 0.25f)));
}
