#pragma once
#include <cstdint>
#include <string>

#include "cli/evolve_plan.hpp"
#include "cli/evolve_settings.hpp"
#include "evolve/ranks/channel.hpp"

namespace namm::cli {

/// The model and the hosts of one process of `namm evolve`, for all stages of its plan.
struct EvolveHosts {
  explicit EvolveHosts(const EvolvePlan& plan);
  /// What all ranks must have in common, as JSON: version, model, tasks, fitness and protocol.
  std::string identity(const evolve::RunSettings& settings) const;

  evolve::HostPool pool;
  std::uintmax_t model_bytes = 0;
};

/// The plan, in this process alone or with the other ranks of `others`. Prints the outcome; returns the exit code.
int evolve_here(const EvolvePlan& plan, evolve::Channel* others);

}  // namespace namm::cli
