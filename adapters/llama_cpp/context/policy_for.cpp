#include <optional>

#include "adapters/llama_cpp/model_key.hpp"
#include "core/model_policies.hpp"
#include "namm/llama.hpp"

namespace namm::llama {

CachePolicy policy_for(const std::filesystem::path& model, const std::string& budget) {
  std::optional<Budget> wanted;
  if (!budget.empty()) wanted = parse_budget(budget);
  const auto kept = ModelPolicies().best(model_key(model), wanted);
  CachePolicy out = kept ? load_policy_file(kept->file) : resolve_policy(std::string(kDefaultPolicyName));
  return wanted ? out.with_budget(*wanted) : out;
}

}  // namespace namm::llama
