#include "core/policies/make.hpp"
#include "core/policies/network_policy.hpp"

namespace namm {

/// The NAMM without attention between tokens (arXiv 2410.13166, appendix). Default: depth 2 with biases, 676 weights on `paper`.
std::unique_ptr<Policy> make_namm_mlp(const nlohmann::json& settings) {
  const detail::JsonFields fields(settings, "policy.");
  fields.allow_only({"features", "normalisation", "weights", "base", "probe", "offsets", "recency", "evenness", "depth", "bias"});
  const int depth = fields.has("depth") ? static_cast<int>(fields.integer("depth", 1, 2)) : 2;
  const bool bias = fields.has("bias") ? fields.boolean("bias") : true;
  auto policy = std::make_unique<NetworkPolicy>("namm-mlp", detail::read_feature_set(fields), mlp_network(depth, bias));
  policy->read(fields);
  return policy;
}

}  // namespace namm
