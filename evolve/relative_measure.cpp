#include "evolve/relative_measure.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "evolve/noise.hpp"

namespace namm::evolve {

/// Units and their values; sums go in their order, so that they never depend on the threads.
struct RelativeMeasure::Measured {
  std::span<const PromptChoice> choices;
  std::vector<Unit> units;
  std::vector<double> values;
  std::size_t full_memory = 0;

  const PromptChoice& choice(std::size_t unit) const { return choices[units[unit].prompt]; }
};

RelativeMeasure::RelativeMeasure(UnitPool& pool, const Fitness& fitness, const ProtocolSettings& protocol, CachePolicy base,
                                 std::vector<Budget> budgets, bool remember)
    : pool_(pool),
      fitness_(fitness),
      protocol_(protocol),
      base_(std::move(base)),
      budgets_(std::move(budgets)),
      remember_(remember) {}

std::vector<CachePolicy> RelativeMeasure::memories_of(std::span<const std::shared_ptr<const Policy>> policies) const {
  std::vector<CachePolicy> out;
  for (const auto& policy : policies) {
    for (const Budget& budget : budgets_) {
      out.push_back(base_);
      out.back().policy = policy;
      out.back().selection.budget = budget;
    }
  }
  out.push_back(base_);
  out.back().policy = nullptr;
  out.back().selection.budget = Budget{};
  return out;
}

std::vector<Unit> RelativeMeasure::units_of(std::span<const std::shared_ptr<const Policy>> policies,
                                            std::span<const PromptChoice> choices) const {
  const std::size_t full_memory = policies.size() * budgets_.size();
  std::vector<Unit> out;
  for (std::size_t i = 0; i < choices.size(); ++i) {
    if (!full_.contains(key(choices[i]))) out.push_back({full_memory, i});
  }
  for (std::size_t i = 0; i < choices.size(); ++i) {
    for (std::size_t p = 0; p < policies.size(); ++p) {
      if (!policies[p]) continue;
      for (const std::size_t b : choices[i].budgets) out.push_back({p * budgets_.size() + b, i});
    }
  }
  return out;
}

std::optional<std::vector<double>> RelativeMeasure::measure(std::span<const std::shared_ptr<const Policy>> policies,
                                                            std::span<const PromptChoice> choices,
                                                            std::span<const Prompt> prompts, const std::atomic<bool>* stop,
                                                            const Progress& progress, MeasureDetails* details) {
  if (!remember_) full_.clear();
  const std::vector<CachePolicy> memories = memories_of(policies);
  Measured measured{choices, units_of(policies, choices), {}, memories.size() - 1};
  measured.values.resize(measured.units.size());
  const UnitBatch batch = make_batch(fitness_, protocol_, memories, prompts, measured.units);
  if (!pool_.measure(batch, measured.values, stop, progress)) return std::nullopt;
  for (std::size_t u = 0; u < measured.units.size(); ++u) {
    if (measured.units[u].memory == measured.full_memory) full_[key(measured.choice(u))] = measured.values[u];
  }

  const std::size_t budgets = budgets_.size();
  std::vector<double> result;
  for (std::size_t p = 0; p < policies.size(); ++p) result.push_back(relative(measured, p * budgets, (p + 1) * budgets));
  if (details != nullptr) {
    details->by_budget.assign(policies.size(), {});
    for (std::size_t p = 0; p < policies.size(); ++p)
      for (std::size_t m = p * budgets; m < (p + 1) * budgets; ++m) details->by_budget[p].push_back(relative(measured, m, m + 1));
    details->noise = noise(measured, result);
  }
  return result;
}

double RelativeMeasure::relative(const Measured& measured, std::size_t first, std::size_t last) const {
  std::size_t tasks = 0;
  for (const PromptChoice& choice : measured.choices) tasks = std::max(tasks, choice.task + 1);
  std::vector<TaskMeans> sums(tasks);
  std::vector<std::size_t> counts(tasks);
  for (std::size_t u = 0; u < measured.units.size(); ++u) {
    if (measured.units[u].memory < first || measured.units[u].memory >= last) continue;
    const PromptChoice& choice = measured.choice(u);
    sums[choice.task].pruned += measured.values[u];
    sums[choice.task].full += full(choice);
    ++counts[choice.task];
  }
  std::vector<TaskMeans> means;
  for (std::size_t t = 0; t < tasks; ++t) {
    if (counts[t] == 0) continue;
    const double n = static_cast<double>(counts[t]);
    means.push_back({sums[t].pruned / n, sums[t].full / n});
  }
  return relative_fitness(fitness_.relation(), means);
}

double RelativeMeasure::noise(const Measured& measured, std::span<const double> result) const {
  std::map<std::size_t, std::map<std::size_t, std::vector<double>>> rows;  // task, prompt: values by policy
  for (std::size_t u = 0; u < measured.units.size(); ++u) {
    const Unit& unit = measured.units[u];
    if (unit.memory == measured.full_memory || !std::isfinite(result[unit.memory / budgets_.size()])) continue;
    rows[measured.choice(u).task][unit.prompt].push_back(measured.values[u]);
  }
  std::map<std::size_t, double> full_sums;  // over the prompts of a task
  for (const PromptChoice& choice : measured.choices) full_sums[choice.task] += full(choice);
  std::vector<TaskValues> tasks;
  for (auto& [task, prompt_rows] : rows) {
    TaskValues& one = tasks.emplace_back();
    const double mean = full_sums[task] / static_cast<double>(prompt_rows.size());
    if (fitness_.relation() == Fitness::Relation::ratio && mean != 0) one.weight = 1 / mean;
    for (auto& [prompt, row] : prompt_rows) one.prompts.push_back(std::move(row));
  }
  return reevaluation_noise(tasks);
}

}  // namespace namm::evolve
