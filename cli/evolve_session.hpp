#pragma once
#include <memory>
#include <string>
#include <vector>

#include "cli/evolve_settings.hpp"
#include "evolve/ranks/channel.hpp"

namespace namm::cli {

/// The model and the hosts of one process of `namm evolve`.
struct EvolveHosts {
  /// Loads the model of --model.
  EvolveHosts(const po::variables_map& values, const std::vector<std::size_t>& lengths_tokens);
  evolve::HostPool pool;
  /// What all ranks must have in common, as JSON: version, model, tasks, fitness and protocol.
  std::string identity(const evolve::RunSettings& settings) const;
  std::uintmax_t model_bytes = 0;
};

/// Options of `namm evolve`; nothing if help was wanted and printed.
std::optional<po::variables_map> parse_evolve(const std::vector<std::string>& arguments);

/// The run itself, in this process alone or with the other ranks of `others`. Prints the outcome; returns the exit code.
int evolve_here(const po::variables_map& values, evolve::Channel* others);

}  // namespace namm::cli
