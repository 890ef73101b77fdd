// Errors, versions and policies of the C interface.
#include <cstring>
#include <string>
#include <utility>

#include "adapters/c/c_border.hpp"
#include "adapters/c/sized.hpp"

namespace namm::c_border {
namespace {

// a plain array: nothing that could fail while an error is put down, or outlive its thread
thread_local char t_sentence[1024] = "";

}  // namespace

namm_code fail(namm_code code, const char* sentence) noexcept {
  std::strncpy(t_sentence, sentence, sizeof t_sentence - 1);
  return code;
}

const char* last_sentence() noexcept {
  return t_sentence;
}

}  // namespace namm::c_border

using namespace namm::c_border;

const char* namm_last_error(void) {
  return last_sentence();
}

int32_t namm_abi_version(void) {
  return NAMM_ABI_VERSION;
}

const char* namm_version(void) {
  return NAMM_VERSION;
}

namm_code namm_policy_load(const char* name_or_path, namm_policy** out) {
  return guarded([&] {
    require(out, "out") = nullptr;
    namm::CachePolicy policy = namm::load_policy(&require(name_or_path, "name of the policy"));
    std::string name(policy.policy ? policy.policy->name() : "full");
    std::string store = namm::to_string(policy.store);
    *out = new namm_policy{std::move(policy), std::move(name), std::move(store), {}};
  });
}

void namm_policy_free(namm_policy* policy) {
  delete policy;
}

namm_code namm_policy_set_budget(namm_policy* policy, const char* budget) {
  return locked(policy, [&](namm_policy& p) { p.policy = p.policy.with_budget(&require(budget, "budget")); });
}

namm_code namm_policy_set_mode(namm_policy* policy, const char* mode) {
  return locked(policy, [&](namm_policy& p) { p.policy = p.policy.with_mode(&require(mode, "selection mode")); });
}

namm_code namm_policy_set_interval(namm_policy* policy, int32_t tokens) {
  return locked(policy, [&](namm_policy& p) {
    if (tokens < 1) throw std::invalid_argument("interval: must be at least 1 token, is " + std::to_string(tokens));
    p.policy = p.policy.with_interval(tokens);
  });
}

namm_code namm_policy_set_protection(namm_policy* policy, int32_t sinks, int32_t recent) {
  return locked(policy, [&](namm_policy& p) {
    if (sinks < 0 || recent < 0)
      throw std::invalid_argument("protected tokens: must be 0 or more, are " + std::to_string(sinks) + " sinks and " +
                                  std::to_string(recent) + " recent");
    p.policy = p.policy.with_protection(sinks, recent);
  });
}

namm_code namm_policy_needs(const namm_policy* policy, namm_needs* out) {
  return locked(policy, [&](const namm_policy& p) {
    const namm::StatisticSet needed = p.policy.required();
    namm_needs needs = {};
    needs.drops = p.policy.drops();
    needs.attention = needed.reads_attention();
    needs.plain_keys = p.policy.reader() != nullptr;
    needs.keys = needed.has(namm::Statistic::key_norm) || needs.plain_keys;
    needs.values = needed.has(namm::Statistic::value_norm) || needs.plain_keys;
    needs.interval_tokens = p.policy.interval_tokens;
    write_sized(needs, out, "needs");
  });
}

const char* namm_policy_name(const namm_policy* policy) {
  return policy ? policy->name.c_str() : nullptr;
}

const char* namm_policy_store(const namm_policy* policy) {
  return policy ? policy->store.c_str() : nullptr;
}
