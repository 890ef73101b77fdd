#pragma once
#include <span>

#include "evolve/checkpoint.hpp"
#include "evolve/loop.hpp"
#include "evolve/run_folder.hpp"

namespace namm::evolve {

/// Keeps `policy` if it validated better than the best so far: over all budgets by `mean`, and under each by `by_budget` (not
/// looked at where there is one budget only).
void keep_if_better(Checkpoint& state, const std::shared_ptr<const Policy>& policy, double mean,
                    std::span<const double> by_budget, std::int64_t generation);

/// Quality against memory, for the log: the best for each budget so far.
nlohmann::json front_of(const Checkpoint& state, const RunSettings& settings);

/// policy.json and, where there are several budgets, one file for each.
void save_policies(const RunFolder& folder, const Checkpoint& state, const RunSettings& settings);

}  // namespace namm::evolve
