#include "evolve/settings_record.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <stdexcept>

#include "base/fingerprint.hpp"
#include "evolve/candidates.hpp"
#include "evolve/checkpoint.hpp"
#include "evolve/strategies/coefficients.hpp"

namespace namm::evolve {
namespace {

void require(bool good, const char* rule, const std::string& seen) {
  if (!good) throw std::invalid_argument(std::string(rule) + ", is " + seen);
}

/// Found out now rather than at a restart, in the middle of the run.
void check_restarts(const RunSettings& s) {
  if (s.stop.restarts == 0) return;
  const int first = s.population > 0 ? s.population : default_population(s.prototype->parameter_count());
  const double last = first * std::pow(s.stop.restart_population, static_cast<double>(s.stop.restarts));
  if (last <= kMostCandidates) return;
  char seen[32];
  std::snprintf(seen, sizeof seen, "%.9g", last);
  throw std::invalid_argument("restarts: the population behind the last of " + std::to_string(s.stop.restarts) +
                              " must be at most " + std::to_string(kMostCandidates) + ", is " + seen +
                              "; use fewer, or let the population grow less or not at all (1)");
}

}  // namespace

nlohmann::json storable(const nlohmann::json& json) {
  return nlohmann::json::parse(json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

void check_settings(const RunSettings& s) {
  require(s.prototype != nullptr, "policy: must be given", "null");
  require(s.prototype->parameter_count() > 0, "policy: must have parameters to evolve (namm, namm-mlp, linear)",
          std::string(s.prototype->name()));
  require(!s.tasks.empty() && std::all_of(s.tasks.begin(), s.tasks.end(), [](const auto& task) { return task != nullptr; }),
          "tasks: must be at least one", "empty");
  require(!s.lengths_tokens.empty(), "lengths: must be at least one", "empty");
  require(!s.budgets.empty(), "budgets: must be at least one", "empty");
  require(s.prompts_per_task >= 1, "prompts per task: must be at least 1", "0");
  require(s.training_pool == 0 || s.training_pool >= s.prompts_per_task,
          "training pool: must be 0 (new prompts in every generation) or at least the prompts per task",
          std::to_string(s.training_pool));
  require(s.validation_prompts >= 1, "validation prompts: must be at least 1", "0");
  require(s.validate_every >= 1, "validation interval: must be at least 1 generation", std::to_string(s.validate_every));
  require(s.interval_tokens >= 1, "update interval: must be at least 1 token", std::to_string(s.interval_tokens));
  require(s.generations >= 0, "generations: must not be negative", std::to_string(s.generations));
  require(s.stop.minutes >= 0, "time limit: must not be negative", std::to_string(s.stop.minutes));
  require(s.stop.stagnant >= 0, "stagnation limit: must not be negative", std::to_string(s.stop.stagnant));
  require(s.stop.restarts >= 0, "restarts: must not be negative", std::to_string(s.stop.restarts));
  require(s.stop.restarts == 0 || s.stop.stagnant > 0, "restarts: must come with a stagnation limit", "without one");
  require(s.stop.restart_population >= 1 && s.stop.restart_population <= 16, "restart population: must be from 1 to 16",
          std::to_string(s.stop.restart_population));
  check_restarts(s);
  require(s.sources.is_object(), "sources: must be an object", s.sources.type_name());
  require(s.provenance.is_object(), "provenance: must be an object", s.provenance.type_name());
}

nlohmann::json describe_settings(const RunSettings& s, int population, const HostDescription& host) {
  nlohmann::json tasks = nlohmann::json::array(), budgets = nlohmann::json::array();
  for (const auto& task : s.tasks) tasks.push_back(task->name());
  for (const Budget& budget : s.budgets) budgets.push_back(to_string(budget));
  nlohmann::json record = {
      {"model", host.model},
      {"architecture", host.architecture},
      {"policy", s.prototype->name()},
      {"policy_fingerprint", fingerprint(s.prototype->to_json().dump())},
      {"gather_normalisation", s.gather_normalisation},
      {"tasks", tasks},
      {"lengths_tokens", s.lengths_tokens},
      {"prompts_per_task", s.prompts_per_task},
      {"training_pool", s.training_pool},
      {"validation_prompts", s.validation_prompts},
      {"validate_every", s.validate_every},
      {"budgets", budgets},
      {"selection", to_string(s.selection.mode)},
      {"sinks", s.selection.sinks},
      {"recent", s.selection.recent},
      {"spectrogram", {{"fft_size", s.spectrogram.fft_size}, {"hop", s.spectrogram.hop}, {"decay", s.spectrogram.decay}}},
      {"interval_tokens", s.interval_tokens},
      {"fitness", s.fitness},
      {"chat_template", s.protocol.chat_template},
      {"question_after", s.protocol.question_after},
      {"strategy", s.strategy},
      {"population", population},
      {"step_size", s.step_size},
      {"seed", s.seed},
  };
  if (s.stop.restarts > 0)
    record["restarts"] = {{"most", s.stop.restarts}, {"stagnant", s.stop.stagnant}, {"population", s.stop.restart_population}};
  if (!s.traces.empty()) record["traces"] = s.traces;
  if (!s.start.empty()) record["start"] = s.start;
  if (!s.sources.empty()) record[kSourcesSetting] = s.sources;
  return storable(record);
}

}  // namespace namm::evolve
