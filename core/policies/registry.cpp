#include <algorithm>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <utility>

#include "base/registry.hpp"
#include "core/policies/make.hpp"
#include "core/policy_file.hpp"

namespace namm {
namespace {

struct Entries {
  std::deque<PolicyEntry> all = {
      {"full", "keeps every token", make_full},
      {"namm", "backward attention memory over attention spectrograms (arXiv 2410.13166)", make_namm},
      {"namm-mlp", "the NAMM without attention between tokens (arXiv 2410.13166, appendix)", make_namm_mlp},
      {"linear", "one linear read-out of the token features", make_linear},
      {"key-probe", "what keys and values say of what a token will add; fitted by 'namm calibrate'", make_key_probe, true},
      {"random", "a fixed random number per token: the floor", make_random},
      {"streaming", "sinks and the newest tokens (StreamingLLM, arXiv 2309.17453)", make_streaming},
      {"h2o", "attention received, summed over queries (H2O, arXiv 2306.14048)", make_h2o},
      {"h2o-half", "the same, half of the budget for the newest tokens, as published", make_h2o_half},
      {"h2o-mean", "attention received per query that could see the token", make_h2o_mean},
      {"tova", "attention received from the newest query (TOVA, arXiv 2401.06104)", make_tova},
      {"tova-layer", "the same, one choice per layer by the mean over its heads, as published", make_tova_layer},
      {"snapkv", "attention received from the newest queries, pooled over neighbours (SnapKV, arXiv 2404.14469)", make_snapkv},
      {"knorm", "small key norm is kept (arXiv 2406.11430)", make_knorm},
  };
  const std::size_t ours = all.size();  // others are registered behind them
};

Entries& known() {
  static Entries all;
  return all;
}

std::deque<PolicyEntry>& entries() {
  return known().all;
}

}  // namespace

void register_policy(PolicyEntry entry) {
  add_entry("policy", entries(), std::move(entry), kDefaultPolicyName);
}

const std::deque<PolicyEntry>& policy_registry() {
  return entries();
}

bool takes_packed_numbers(std::string_view name) {
  const auto end = entries().begin() + static_cast<std::ptrdiff_t>(known().ours);
  return std::any_of(entries().begin(), end, [&](const PolicyEntry& entry) { return entry.name == name; });
}

std::unique_ptr<Policy> make_policy(std::string_view name) {
  return make_policy(name, nlohmann::json::object());
}

std::unique_ptr<Policy> make_policy(std::string_view name, const nlohmann::json& settings) {
  std::unique_ptr<Policy> policy = find_entry("policy", name, entries()).make(settings);
  if (!policy)
    throw std::invalid_argument("policy " + std::string(name) +
                                ": must be made by the function that it was registered with, which returned none");
  return policy;
}

}  // namespace namm
