#include "evolve/settings_limits.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "core/policy_file.hpp"
#include "evolve/candidates.hpp"
#include "evolve/strategies/coefficients.hpp"

namespace namm::evolve {
namespace {

void require(bool good, const char* rule, const std::string& seen) {
  if (!good) throw std::invalid_argument(std::string(rule) + ", is " + seen);
}

void require(bool good, SettingRule rule, const char* text, const std::string& seen) {
  if (!good) throw BrokenRule(rule, std::string(text) + ", is " + seen);
}

std::size_t numbers_in(const nlohmann::json& value) {
  if (!value.is_structured()) return value.is_number() ? 1 : 0;
  std::size_t out = 0;
  for (const nlohmann::json& child : value) out += numbers_in(child);
  return out;
}

/// Found out now rather than at a restart in the middle of the run.
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

void check_settings(const RunSettings& s) {
  require(s.prototype != nullptr, "policy: must be given", "null");
  require(s.prototype->parameter_count() > 0, "policy: must have parameters to evolve (namm, namm-mlp, linear)",
          std::string(s.prototype->name()));
  const std::size_t numbers = numbers_in(s.prototype->to_json());
  if (numbers > kMostPolicyNumbers)
    throw std::invalid_argument("policy: must have at most " + std::to_string(kMostPolicyNumbers) +
                                " numbers to evolve, whose files are JSON, has " + std::to_string(numbers) +
                                "; calibrate with a smaller probe (input key, or read-out linear)");
  require(!s.tasks.empty() && std::all_of(s.tasks.begin(), s.tasks.end(), [](const auto& task) { return task != nullptr; }),
          "tasks: must be at least one", "empty");
  require(!s.lengths_tokens.empty(), "lengths: must be at least one", "empty");
  require(!s.budgets.empty(), "budgets: must be at least one", "empty");
  require(s.prompts_per_task >= 1, SettingRule::prompts_per_task, "prompts per task: must be at least 1", "0");
  require(s.training_pool == 0 || s.training_pool >= s.prompts_per_task,
          "training pool: must be 0 (new prompts in every generation) or at least the prompts per task",
          std::to_string(s.training_pool));
  require(s.validation_prompts >= 1, SettingRule::validation_prompts, "validation prompts: must be at least 1", "0");
  require(s.validate_every >= 1, SettingRule::validate_every, "validation interval: must be at least 1 generation",
          std::to_string(s.validate_every));
  require(s.interval_tokens >= 1, "update interval: must be at least 1 token", std::to_string(s.interval_tokens));
  require(s.generations >= 0, SettingRule::generations, "generations: must not be negative", std::to_string(s.generations));
  require(s.stop.minutes >= 0, SettingRule::minutes, "time limit: must not be negative", std::to_string(s.stop.minutes));
  require(s.stop.stagnant >= 0, SettingRule::stagnant, "stagnation limit: must not be negative", std::to_string(s.stop.stagnant));
  require(s.stop.restarts >= 0, SettingRule::restarts, "restarts: must not be negative", std::to_string(s.stop.restarts));
  require(s.stop.restarts == 0 || s.stop.stagnant > 0, SettingRule::restarts_need_stagnant,
          "restarts: must come with a stagnation limit", "without one");
  require(s.stop.restart_population >= 1 && s.stop.restart_population <= 16, SettingRule::restart_population,
          "restart population: must be from 1 to 16", std::to_string(s.stop.restart_population));
  check_restarts(s);
  require(s.sources.is_object(), "sources: must be an object", s.sources.type_name());
  require(s.provenance.is_object(), "provenance: must be an object", s.provenance.type_name());
}

}  // namespace namm::evolve
