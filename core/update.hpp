#pragma once
#include <span>

#include "core/policies/policy.hpp"
#include "core/selection/selection.hpp"

namespace namm {

/// One update of the cache memory: scores every head (parallel over heads) and selects. heads: one entry per (layer, KV head),
/// with layer and kv_head set; budget_tokens as for select(). Deterministic, whatever the number of threads. Throws what the
/// policy and select() throw.
Selection plan_update(const Policy& policy, const SelectionSettings& settings, std::span<const HeadTokens> heads,
                      std::int64_t budget_tokens);

}  // namespace namm
