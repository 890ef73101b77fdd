#pragma once
#include <Eigen/Core>
#include <cstdint>
#include <memory>

#include "evolve/loop.hpp"
#include "evolve/strategy.hpp"

namespace namm::evolve {

/// The run's strategy behind `restart` restarts: each from the parameters of `start`, with other draws and more candidates.
/// Throws std::runtime_error if the population would grow beyond all use, std::invalid_argument as make_strategy does.
std::unique_ptr<Strategy> start_strategy(const RunSettings& settings, const Policy& start, std::int64_t restart = 0);

/// A candidate: the prototype with these parameters. Null if a number leaves float32; such a candidate counts as worst.
std::shared_ptr<const Policy> with_parameters(const Policy& prototype, const Eigen::Ref<const Eigen::VectorXd>& values);

}  // namespace namm::evolve
