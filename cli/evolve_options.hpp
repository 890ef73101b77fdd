#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/evolve_traces.hpp"
#include "cli/model_options.hpp"
#include "cli/options.hpp"
#include "evolve/stop_rules.hpp"
#include "trace/reader.hpp"

namespace namm::cli {

/// A number of prompts.
struct PromptCount {
  int number = 0;
  bool asked = false;  ///< it is not the default: more than there are is an error, where a default is lowered
};

/// What one stage of `namm evolve` is asked to do, as it was said: what is left out is empty or has its default. Limits of
/// numbers are those of evolve::check_settings(), which sees what becomes of them.
struct EvolveOptions {
  ModelOptions model;                          ///< its file is empty if there is none
  std::string traces;                          ///< file; empty: the fitness is measured on the model
  std::shared_ptr<const trace::Reader> trace;  ///< of that file; null if there is none
  TaskOptions tasks;                           ///< with a trace, those of the live evaluation
  std::string data;                            ///< file of the tasks' prompts; empty: they are generated
  std::string haystack;
  std::string prompt_option;  ///< the first option given that says what the model's prompts are, "--tasks"; empty: none was

  std::string policy;                   ///< a name or a file. Read when its stage begins: the file may be a stage's before it
  std::optional<std::string> features;  ///< of a new policy; default: probe with a probe, else light
  std::optional<std::string> probe;     ///< file of a calibrated policy
  std::string start;                    ///< of a new policy: zeros, least-squares or a file
  std::vector<Budget> budgets;
  MemoryOptions memory;

  std::optional<std::string> fitness;  ///< default: retention on a trace, else answer-likelihood
  std::size_t prompt_memory_bytes = 0;
  std::string strategy;  ///< "auto" = by the number of parameters
  int population = 0;    ///< 0 = by the number of parameters
  double step_size = 0;  ///< 0 = by the number of parameters
  std::int64_t generations = 0;
  PromptCount prompts, training_pool, validation;
  std::int64_t validate_every = 0;
  evolve::StopRules stop;
  std::uint64_t seed = 0;
};

/// All options of the command.
po::options_description evolve_option_list();

/// Those of one stage. Throws std::invalid_argument and std::runtime_error for what is wrong in itself, files with prompts
/// included.
EvolveOptions evolve_options_from(const po::variables_map& values, TraceFiles& traces);

/// True if the option has another value than its default: run.json, which can be read as --config, names those left out, too.
bool was_given(const po::variables_map& values, const std::string& option);

}  // namespace namm::cli
