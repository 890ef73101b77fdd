#include "evolve/best_policies.hpp"

#include "core/policy_file.hpp"
#include "evolve/generation_record.hpp"

namespace namm::evolve {
namespace {

void save_policy(const std::filesystem::path& path, const BudgetBest& best, const Budget& budget, const Checkpoint& state,
                 const RunSettings& settings) {
  PolicyFile file;
  file.policy = best.policy;
  file.spectrogram = settings.spectrogram;
  file.interval_tokens = settings.interval_tokens;
  file.selection = settings.selection;
  file.selection.budget = budget;
  file.provenance = state.provenance;
  for (const auto& [name, value] : state.settings.items()) file.provenance[name] = value;
  file.provenance["generations"] = state.generation;
  file.provenance["best_generation"] = best.generation;
  file.provenance["validation"] = detail::number_or_null(best.validation);
  file.provenance["start_validation"] = detail::number_or_null(state.start_validation);
  save_policy_file(path, file);
}

}  // namespace

void keep_if_better(Checkpoint& state, const std::shared_ptr<const Policy>& policy, double mean,
                    std::span<const double> by_budget, std::int64_t generation) {
  for (std::size_t b = 0; b < state.by_budget.size(); ++b)
    if (by_budget[b] > state.by_budget[b].validation) state.by_budget[b] = {policy, by_budget[b], generation};
  if (mean > state.progress_validation) {
    state.progress_validation = mean;
    state.progress_generation = generation;
  }
  if (!(mean > state.best_validation)) return;
  state.best = policy;
  state.best_validation = mean;
  state.best_generation = generation;
}

nlohmann::json front_of(const Checkpoint& state, const RunSettings& settings) {
  nlohmann::json out = nlohmann::json::array();
  for (std::size_t b = 0; b < state.by_budget.size(); ++b) {
    const Budget& budget = settings.budgets[b];
    const bool share = budget.unit == Budget::Unit::fraction;
    out.push_back({{"budget", to_string(budget)},
                   {"kept_share", share ? nlohmann::json(budget.value) : nlohmann::json(nullptr)},
                   {"validation", detail::number_or_null(state.by_budget[b].validation)},
                   {"generation", state.by_budget[b].generation}});
  }
  return out;
}

void save_policies(const RunFolder& folder, const Checkpoint& state, const RunSettings& settings) {
  save_policy(folder.policy(), {state.best, state.best_validation, state.best_generation}, settings.budgets.front(), state,
              settings);
  for (std::size_t b = 0; b < state.by_budget.size(); ++b)
    save_policy(folder.policy(settings.budgets[b]), state.by_budget[b], settings.budgets[b], state, settings);
}

}  // namespace namm::evolve
