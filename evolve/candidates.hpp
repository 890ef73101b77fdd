#pragma once
#include <Eigen/Core>
#include <cstdint>
#include <memory>

#include "evolve/loop.hpp"
#include "evolve/strategy.hpp"

namespace namm::evolve {

/// Far beyond use; restarts let the population grow.
inline constexpr int kMostCandidates = 1 << 16;

/// The run's strategy behind `restart` restarts, at most as many as the settings have, which check_settings() has seen: each from
/// the parameters of `start`, with other draws and more candidates. Throws std::invalid_argument as make_strategy does.
std::unique_ptr<Strategy> start_strategy(const RunSettings& settings, const Policy& start, std::int64_t restart = 0);

/// A candidate: the prototype with these parameters. Null if a number leaves float32; such a candidate counts as worst.
std::shared_ptr<const Policy> with_parameters(const Policy& prototype, const Eigen::Ref<const Eigen::VectorXd>& values);

}  // namespace namm::evolve
