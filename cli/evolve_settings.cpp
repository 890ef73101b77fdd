#include "cli/evolve_settings.hpp"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <stdexcept>

#include "base/date.hpp"
#include "base/version.hpp"
#include "cli/evolve_start.hpp"
#include "cli/evolve_traces.hpp"
#include "eval/fingerprint.hpp"
#include "eval/model_fingerprint.hpp"
#include "evolve/settings_limits.hpp"
#include "evolve/strategy_choice.hpp"

namespace namm::cli {
namespace {

std::string at_least(const std::string& option, int low, std::int64_t seen) {
  return option + ": must be at least " + std::to_string(low) + ", is " + std::to_string(seen) + "; see --help";
}

/// What a limit of the library is called on the command line.
std::string in_options(evolve::SettingRule rule, const EvolveOptions& options) {
  using Rule = evolve::SettingRule;
  switch (rule) {
    case Rule::generations:
      return at_least("--generations", 0, options.generations);
    case Rule::validate_every:
      return at_least("--validate-every", 1, options.validate_every);
    case Rule::prompts_per_task:
      return at_least("--prompts", 1, options.prompts.number);
    case Rule::validation_prompts:
      return at_least("--validation", 1, options.validation.number);
    case Rule::minutes:
      return "--stop-after-minutes: must be positive (or 0 for no limit), is " + std::to_string(options.stop.minutes) +
             "; for example 60";
    case Rule::stagnant:
      return at_least("--stop-stagnant", 0, options.stop.stagnant);
    case Rule::restarts:
      return at_least("--restarts", 0, options.stop.restarts);
    case Rule::restarts_need_stagnant:
      return "--restarts: must come with --stop-stagnant, which says when to begin anew; for example 20";
    case Rule::restart_population:
      return "--restart-population: must be from 1 to 16, is " + std::to_string(options.stop.restart_population) +
             "; 2 doubles it";
  }
  throw std::logic_error("evolve: a limit has no words");
}

void check_limits(const evolve::RunSettings& settings, const EvolveOptions& options) {
  try {
    evolve::check_settings(settings);
  } catch (const evolve::BrokenRule& broken) {
    throw std::invalid_argument(in_options(broken.rule(), options));
  }
}

void set_policy(const EvolveOptions& options, evolve::RunSettings& settings) {
  EvolveStart start = start_from(options);
  if (start.file.store != RowFormats())
    throw std::invalid_argument("--policy: must hold keys and values as f16 to be evolved from, holds them as " +
                                to_string(start.file.store) + "; take \"store\" out of the file, and give it to what is evolved");
  settings.prototype = start.file.policy;
  settings.gather_normalisation = start.fresh;
  settings.budgets = options.budgets;
  for (const Budget& budget : settings.budgets) {
    const CachePolicy memory = make_memory(start.file, options.memory, budget);
    settings.selection = memory.selection;
    settings.spectrogram = memory.spectrogram;
    settings.interval_tokens = memory.interval_tokens;
  }
  if (!start.fitted) return;
  settings.fit_start = fitted_start(options, settings);
  settings.start = options.start;
}

/// Where 0 and "auto" stand for what suits the number of parameters.
void set_strategy(const EvolveOptions& options, evolve::RunSettings& settings) {
  const std::size_t parameters = settings.prototype->parameter_count();
  settings.strategy = evolve::chosen_strategy(options.strategy, parameters);
  if (!(options.step_size >= 0) || !std::isfinite(options.step_size))
    throw std::invalid_argument("--step-size: must be positive (or 0 for the default), is " + std::to_string(options.step_size) +
                                "; for example 0.3");
  settings.step_size = options.step_size > 0 ? options.step_size : evolve::default_step_size(parameters);
  require_at_least("--population", options.population, 0);
  settings.population = options.population;
  settings.seed = options.seed;
}

/// Numbers of prompts, as far as --data has so many: beyond, the same ones would count twice.
void count_on_data(const EvolveOptions& options, evolve::RunSettings& settings) {
  const auto* const data = dynamic_cast<const tasks::DataTask*>(settings.tasks.front().get());
  if (data == nullptr) return;
  const std::string& name = options.data;
  const std::size_t training = data->different(tasks::Split::train), validation = data->different(tasks::Split::validation);
  if (training == 0 || validation == 0)
    throw std::invalid_argument(
        "--data: must hold prompts on at least 4 contexts (of every five, three train and the fourth "
        "validates), " +
        name + " holds " + std::to_string(data->documents()) + "; add some");
  settings.prompts_per_task = count_from(options.prompts, "prompts", training, "training prompts of " + name);
  settings.training_pool = count_from(options.training_pool, "training-pool", training, "training prompts of " + name);
  settings.validation_prompts = count_from(options.validation, "validation", validation, "validation prompts of " + name);
}

void set_prompts(const EvolveOptions& options, evolve::RunSettings& settings) {
  // what is below 0 breaks the rule that 0 breaks
  const auto number = [](const PromptCount& count) { return static_cast<std::size_t>(std::max(count.number, 0)); };
  require_at_least("--training-pool", options.training_pool.number, 0);  // where 0 is allowed
  settings.prompts_per_task = number(options.prompts);
  settings.training_pool = number(options.training_pool);
  settings.validation_prompts = number(options.validation);
  if (options.trace)
    count_on_trace(options, settings);
  else
    count_on_data(options, settings);
}

}  // namespace

evolve::RunSettings measuring_settings_from(const EvolveOptions& options) {
  evolve::RunSettings out;
  out.tasks = options.tasks.tasks;
  out.lengths_tokens = options.tasks.lengths_tokens;
  out.protocol = options.tasks.protocol;
  out.fitness = options.fitness.value_or("answer-likelihood");
  out.prompt_memory_bytes = options.prompt_memory_bytes;
  if (options.trace) measure_on_trace(options, out);
  return out;
}

evolve::RunSettings settings_from(const EvolveOptions& options) {
  evolve::RunSettings out = measuring_settings_from(options);
  set_policy(options, out);
  set_strategy(options, out);
  out.generations = options.generations;
  out.validate_every = options.validate_every;
  out.stop = options.stop;
  set_prompts(options, out);
  check_limits(out, options);
  return out;
}

std::size_t count_from(const PromptCount& count, const std::string& option, std::size_t there, const std::string& prompts) {
  const auto wanted = static_cast<std::size_t>(std::max(count.number, 0));
  if (count.asked && wanted > there)
    throw std::invalid_argument("--" + option + ": must be at most the " + std::to_string(there) + " " + prompts + ", is " +
                                std::to_string(wanted) + "; lower it or provide more");
  return std::min(wanted, there);
}

nlohmann::json sources_of(const EvolveOptions& options) {
  if (options.trace) return nlohmann::json::object();  // RunSettings::traces tells them apart
  nlohmann::json out = {{"model_bytes", std::filesystem::file_size(options.model.model)},
                        {"model_hash", eval::model_fingerprint(options.model.model)}};
  if (!options.data.empty())
    out["data"] = eval::file_fingerprint(options.data) + ", split by context";  // runs begun before were split otherwise
  else
    out["haystack"] = eval::haystack_fingerprint(options.haystack);
  return out;
}

nlohmann::json provenance_of(const evolve::RunSettings& settings, const HostDescription& host) {
  nlohmann::json task_names = nlohmann::json::array();
  for (const auto& task : settings.tasks) task_names.push_back(task->name());
  return {{"model", host.model},         {"architecture", host.architecture},
          {"tasks", task_names},         {"lengths_tokens", settings.lengths_tokens},
          {"fitness", settings.fitness}, {"strategy", settings.strategy},
          {"seed", settings.seed},       {"date", today()},
          {"version", version()},        {"commit", commit()}};
}

}  // namespace namm::cli
