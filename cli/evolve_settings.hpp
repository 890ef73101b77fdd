#pragma once
#include <cstddef>
#include <memory>
#include <string>

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

/// True if the option has another value than its default: run.json, which can be read as --config, names those left out, too.
bool was_given(const po::variables_map& values, const std::string& option);

/// The number of prompts that an option asks for: what was given, or the default as far as there are so many. Throws
/// std::invalid_argument if more were given than are `there`; `prompts` says which ones, for example "prompts in the trace".
std::size_t count_from(const po::variables_map& values, const std::string& option, std::size_t there, const std::string& prompts);

/// For RunSettings::sources: the model's bytes, fingerprints of --data or --haystack. Empty with --traces. Throws if a file is
/// not there; a model that was loaded is.
nlohmann::json sources_of(const po::variables_map& values);

/// Context in tokens for the longest prompt of these tasks with chat template, question and answer: of a prompt file as it is, of
/// generated tasks by a rule.
int context_for(const std::shared_ptr<const llama::LlamaModel>& model, const TaskOptions& options);

/// What ends up in the policy file about its making.
nlohmann::json provenance_of(const evolve::RunSettings& settings, const HostDescription& host);

}  // namespace namm::cli
