#include "core/policies/make.hpp"
#include "core/policies/network_policy.hpp"

namespace namm {

/// The NAMM of arXiv 2410.13166: backward attention memory over the features of the spectrogram. 4,172 weights on `paper`
/// features.
std::unique_ptr<Policy> make_namm(const nlohmann::json& settings) {
  const detail::JsonFields fields(settings, "policy.");
  fields.allow_only({"features", "normalisation", "weights", "base", "probe", "offsets", "recency", "evenness"});
  auto policy = std::make_unique<NetworkPolicy>("namm", detail::read_feature_set(fields), bam_network());
  policy->read(fields);
  return policy;
}

}  // namespace namm
