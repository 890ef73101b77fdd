#pragma once
#include <optional>
#include <string>
#include <vector>

#include "cli/evolve_plan.hpp"
#include "cli/evolve_settings.hpp"
#include "evolve/ranks/channel.hpp"
#include "host/host_pool.hpp"

namespace namm::cli {

/// The hosts of one process of `namm evolve`: of the model, or of the trace of a stage with --traces.
class EvolveHosts {
 public:
  /// Loads nothing yet.
  explicit EvolveHosts(const EvolvePlan& plan);
  /// Before anything else is asked for: loads what this stage is measured on, unless the one before was measured on it, too.
  void prepare(const EvolvePlan::Stage& stage);
  HostPool& pool() { return *pool_; }
  /// What all ranks must have in common, as JSON: version, model or trace, texts, tasks, fitness and protocol.
  std::string identity(const evolve::RunSettings& settings) const;

 private:
  std::vector<TaskOptions> tasks_;  // of all stages that are measured on the model
  std::string source_;              // the file that the pool is of
  std::optional<HostPool> pool_;
};

/// The plan, in this process alone or with the other ranks of `others`. Prints the outcome; returns the exit code.
int evolve_here(const EvolvePlan& plan, evolve::Channel* others);

}  // namespace namm::cli
