#pragma once
#include <nlohmann/json.hpp>

#include "cli/options.hpp"
#include "evolve/loop.hpp"

namespace namm::cli {

po::options_description evolve_options();

/// All but the folder. Throws std::invalid_argument for values that no run can have.
evolve::RunSettings settings_from(const po::variables_map& values);

/// The part of the settings that a rank which only measures needs: tasks, lengths, protocol, fitness. It has no policy: those
/// come from rank 0, whose files it may not see.
evolve::RunSettings measuring_settings_from(const po::variables_map& values);

/// What ends up in the policy file about its making.
nlohmann::json provenance_of(const evolve::RunSettings& settings, const HostDescription& host);

}  // namespace namm::cli
