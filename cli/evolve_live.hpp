#pragma once
#include <memory>

#include "cli/evolve_options.hpp"
#include "evolve/loop.hpp"

namespace namm::cli {

/// A run on a trace is evaluated on the model at the end if there is one.
inline bool ends_live(const EvolveOptions& options) {
  return options.trace != nullptr && !options.model.model.empty();
}

/// Before hours on a trace: throws if the model or the validation prompts of a later live evaluation are not there.
void check_live(const EvolveOptions& options);

/// What the policy is worth on the model: answer-likelihood on the validation prompts of the options' tasks, beside h2o-mean, as
/// live.json in the run's folder and as text. `settings` is the run's. False if interrupted, which is said.
bool evaluate_live(const EvolveOptions& options, const evolve::RunSettings& settings, const std::shared_ptr<const Policy>& policy,
                   bool quiet);

}  // namespace namm::cli
