#pragma once
#include <functional>
#include <memory>

#include "cli/options.hpp"
#include "evolve/loop.hpp"

namespace namm::cli {

/// Where an evolution begins.
struct EvolveStart {
  PolicyFile file;      ///< the policy, and how a file says that it is to be used
  bool fresh = true;    ///< a new policy: its normalisation is still to be gathered
  bool fitted = false;  ///< --start least-squares
};

/// --policy names one that exists, with features of its own: a file, or `default`.
bool begins_with_policy(const po::variables_map& values);

/// --start names a file.
bool begins_with_file(const po::variables_map& values);

/// From --policy, --features, --probe and --start. Throws std::invalid_argument.
EvolveStart start_from(const po::variables_map& values);

/// The least-squares fit of the start, for RunSettings::fit_start. Only says how: what it reads may be large, and a run that is
/// resumed does not need it.
std::function<std::shared_ptr<const Policy>(const Policy&)> fitted_start(const po::variables_map& values,
                                                                         const evolve::RunSettings& settings);

}  // namespace namm::cli
