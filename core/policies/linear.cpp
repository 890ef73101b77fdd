#include "core/policies/make.hpp"
#include "core/policies/network_policy.hpp"

namespace namm {

/// One linear read-out of the features: few enough parameters for full CMA-ES. 26 weights on `paper`, 35 on `extended`.
std::unique_ptr<Policy> make_linear(const nlohmann::json& settings) {
  const detail::JsonFields fields(settings, "policy.");
  fields.allow_only({"features", "normalisation", "weights", "base", "probe", "offsets", "recency", "evenness"});
  auto policy = std::make_unique<NetworkPolicy>("linear", detail::read_feature_set(fields), linear_network());
  policy->read(fields);
  return policy;
}

}  // namespace namm
