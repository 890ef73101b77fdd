#pragma once
#include <memory>
#include <optional>
#include <string>

#include "cli/evolve_plan.hpp"
#include "evolve/loop.hpp"
#include "host/host_pool.hpp"

namespace namm::cli {

/// The hosts of one process of `namm evolve`: of the model, or of the trace of a stage with --traces.
class EvolveHosts {
 public:
  /// Loads nothing yet. The plan lives longer.
  explicit EvolveHosts(const EvolvePlan& plan) : plan_(plan) {}
  /// Before anything else is asked for: loads what this stage is measured on, unless the one before was measured on it, too.
  void prepare(const EvolveOptions& stage);
  HostPool& pool() { return *pool_; }
  /// What all ranks must have in common, as JSON: version, instruction set, model or trace, texts, tasks, fitness and protocol.
  std::string identity(const evolve::RunSettings& settings) const;

 private:
  const EvolvePlan& plan_;
  std::string source_;  // the file that the pool is of
  std::optional<HostPool> pool_;
};

/// Context in tokens for the longest prompt of these tasks with chat template, question and answer: of a prompt file as it is, of
/// generated tasks by a rule.
int context_for(const std::shared_ptr<const llama::LlamaModel>& model, const TaskOptions& options);

}  // namespace namm::cli
