#pragma once
#include <cstdint>
#include <memory>
#include <span>

#include "evolve/loop.hpp"
#include "namm/strategy.hpp"

namespace namm::evolve {

/// Far beyond any use. Restarts multiply the population, which has to end somewhere.
inline constexpr int kMostCandidates = 1 << 16;

/// The run's strategy after `restart` restarts, at most as many as the settings allow (check_settings() has seen to that): each
/// from the parameters of `start`, with other draws and more candidates. Throws std::invalid_argument as make_strategy does.
std::unique_ptr<Strategy> start_strategy(const RunSettings& settings, const Policy& start, std::int64_t restart = 0);

/// A candidate: the prototype with these parameters. Null if a number leaves float32; such a candidate counts as worst.
std::shared_ptr<const Policy> with_parameters(const Policy& prototype, std::span<const double> values);

}  // namespace namm::evolve
