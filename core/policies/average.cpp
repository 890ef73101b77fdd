#include "core/policies/average.hpp"

#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/policies/key_probe.hpp"

namespace namm {
namespace {

/// What the parameters belong to, without their values: an object of fields as in the policy file.
nlohmann::json meaning_of(const Policy& policy) {
  if (const auto* const calibrated = dynamic_cast<const KeyProbePolicy*>(&policy)) {
    // probes and evenness measured on other texts estimate the same, so offsets of their heads mean the same
    nlohmann::json layers = nlohmann::json::array();
    for (const ProbeLayer& layer : calibrated->probe()->layers())
      layers.push_back({layer.layer, layer.kv_heads, layer.key_size, layer.value_size});
    return {{"layers", layers}, {"recency", calibrated->recency()}, {"evenness", !calibrated->evenness().empty()}};
  }
  nlohmann::json fields = policy.to_json();
  fields.erase("weights");
  return fields;
}

void require_same_fields(const nlohmann::json& some, const nlohmann::json& others) {
  for (const auto& [name, value] : some.items())
    if (!others.contains(name) || others[name] != value)
      throw std::invalid_argument(
          "policy." + name + ": must be that of the first policy, is another; average runs that began with the same policy file");
}

}  // namespace

void require_averageable(const Policy& first, const Policy& other) {
  const std::string kind(first.name());
  if (first.parameter_count() == 0)
    throw std::invalid_argument("policy: must have parameters to be averaged, is " + kind + ", which has none");
  if (other.name() != first.name())
    throw std::invalid_argument("policy: must be " + kind + " as the first, is " + std::string(other.name()));
  const nlohmann::json wanted = meaning_of(first), there = meaning_of(other);
  require_same_fields(wanted, there);
  require_same_fields(there, wanted);
}

std::unique_ptr<Policy> average(std::span<const std::shared_ptr<const Policy>> policies) {
  if (policies.empty()) throw std::invalid_argument("policies: must be at least one to be averaged, are none");
  std::vector<double> sums(policies.front()->parameter_count());
  for (const auto& policy : policies) {
    require_averageable(*policies.front(), *policy);
    const std::vector<float> parameters = policy->parameters();
    for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += parameters[i];
  }
  std::vector<float> mean(sums.size());
  for (std::size_t i = 0; i < sums.size(); ++i) mean[i] = static_cast<float>(sums[i] / static_cast<double>(policies.size()));
  std::unique_ptr<Policy> out = policies.front()->clone();
  out->set_parameters(mean);
  return out;
}

}  // namespace namm
