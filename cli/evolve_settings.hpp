#pragma once
#include <cstddef>
#include <string>

#include <nlohmann/json.hpp>

#include "cli/evolve_options.hpp"
#include "evolve/loop.hpp"

namespace namm::cli {

/// All but the folder. Throws std::invalid_argument for what no run can have, in the words of the options.
evolve::RunSettings settings_from(const EvolveOptions& options);

/// The part of the settings that a rank which only measures needs: tasks, lengths, protocol, fitness. It has no policy: those
/// come from rank 0, whose files it may not see.
evolve::RunSettings measuring_settings_from(const EvolveOptions& options);

/// The number of prompts that an option asks for: what was given, or the default as far as there are so many. Throws
/// std::invalid_argument if more were given than are `there`; `prompts` says which ones, for example "prompts in the trace".
std::size_t count_from(const PromptCount& count, const std::string& option, std::size_t there, const std::string& prompts);

/// For RunSettings::sources: the model's bytes, fingerprints of --data or --haystack. Empty with --traces. Throws if a file is
/// not there; a model that was loaded is.
nlohmann::json sources_of(const EvolveOptions& options);

/// What ends up in the policy file about its making.
nlohmann::json provenance_of(const evolve::RunSettings& settings, const HostDescription& host);

}  // namespace namm::cli
