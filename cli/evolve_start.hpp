#pragma once
#include <functional>
#include <memory>
#include <string>

#include "cli/evolve_options.hpp"
#include "evolve/loop.hpp"

namespace namm::cli {

/// Where an evolution begins.
struct EvolveStart {
  PolicyFile file;      ///< the policy, and how a file says that it is to be used
  bool fresh = true;    ///< a new policy: its normalisation is still to be gathered
  bool fitted = false;  ///< --start least-squares
};

/// --policy names one that exists, with features of its own: a file, or `default`.
bool is_existing_policy(const std::string& policy);

/// --start names a file.
bool is_start_file(const std::string& start);

/// From --policy, --features, --probe and --start. Throws std::invalid_argument.
EvolveStart start_from(const EvolveOptions& options);

/// The least-squares fit of the start, for RunSettings::fit_start. Only says how: what it reads may be large, and a run that is
/// resumed does not need it.
std::function<std::shared_ptr<const Policy>(const Policy&)> fitted_start(const EvolveOptions& options,
                                                                         const evolve::RunSettings& settings);

}  // namespace namm::cli
