#include "evolve/relative_measure.hpp"

#include <cmath>
#include <limits>

#include "evolve/noise.hpp"

namespace namm::evolve {

RelativeMeasure::RelativeMeasure(Evaluator& evaluator, CachePolicy base, std::vector<Budget> budgets, bool remember)
    : evaluator_(evaluator), base_(std::move(base)), budgets_(std::move(budgets)), remember_(remember) {}

std::optional<std::vector<double>> RelativeMeasure::measure(std::span<const std::shared_ptr<const Policy>> policies,
                                                            std::span<const PromptChoice> choices,
                                                            std::span<const Prompt> prompts, const std::atomic<bool>* stop,
                                                            const Progress& progress, MeasureDetails* details) {
  // Memories: policy p under budget b is number p * B + b; the full cache is the last one.
  std::vector<CachePolicy> memories;
  for (const auto& policy : policies) {
    for (const Budget& budget : budgets_) {
      memories.push_back(base_);
      memories.back().policy = policy;
      memories.back().selection.budget = budget;
    }
  }
  const std::size_t full_memory = memories.size();
  memories.push_back(base_);
  memories.back().policy = nullptr;
  memories.back().selection.budget = Budget{};

  if (!remember_) full_.clear();
  const auto key = [&](std::size_t i) { return Key{choices[i].task, choices[i].split, choices[i].index}; };
  std::vector<Unit> units;
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    if (!full_.contains(key(i))) units.push_back({full_memory, i});
  }
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    for (std::size_t p = 0; p < policies.size(); ++p) {
      if (!policies[p]) continue;
      for (const std::size_t b : choices[i].budgets) units.push_back({p * budgets_.size() + b, i});
    }
  }
  const auto values = evaluator_.measure(memories, prompts, units, stop, progress);
  if (!values) return std::nullopt;
  for (std::size_t u = 0; u < units.size(); ++u) {
    if (units[u].memory == full_memory) full_[key(units[u].prompt)] = (*values)[u];
  }

  std::size_t tasks = 0;
  for (const PromptChoice& choice : choices) tasks = std::max(tasks, choice.task + 1);
  // Over the units whose memory is in [first, last); sums go in the order of the units, so that they never depend on the threads.
  const auto relative = [&](std::size_t first, std::size_t last) {
    std::vector<TaskMeans> sums(tasks);
    std::vector<std::size_t> counts(tasks);
    for (std::size_t u = 0; u < units.size(); ++u) {
      if (units[u].memory < first || units[u].memory >= last) continue;
      const std::size_t task = choices[units[u].prompt].task;
      sums[task].pruned += (*values)[u];
      sums[task].full += full_.at(key(units[u].prompt));
      ++counts[task];
    }
    std::vector<TaskMeans> means;
    for (std::size_t t = 0; t < tasks; ++t) {
      if (counts[t] == 0) continue;
      const double n = static_cast<double>(counts[t]);
      means.push_back({sums[t].pruned / n, sums[t].full / n});
    }
    return relative_fitness(evaluator_.fitness().relation(), means);  // NaN without units
  };
  const std::size_t budgets = budgets_.size();
  std::vector<double> result;
  for (std::size_t p = 0; p < policies.size(); ++p) result.push_back(relative(p * budgets, (p + 1) * budgets));
  if (details != nullptr) {
    details->by_budget.assign(policies.size(), {});
    for (std::size_t p = 0; p < policies.size(); ++p)
      for (std::size_t m = p * budgets; m < (p + 1) * budgets; ++m) details->by_budget[p].push_back(relative(m, m + 1));
    std::map<std::size_t, TaskValues> by_task;
    std::map<std::size_t, std::map<std::size_t, std::vector<double>>> rows;  // task, prompt: values by policy
    std::map<std::size_t, double> full;                                      // sum over the prompts of a task
    for (std::size_t u = 0; u < units.size(); ++u) {
      if (units[u].memory == full_memory || !std::isfinite(result[units[u].memory / budgets])) continue;
      rows[choices[units[u].prompt].task][units[u].prompt].push_back((*values)[u]);
    }
    for (std::size_t i = 0; i < prompts.size(); ++i) full[choices[i].task] += full_.at(key(i));
    for (auto& [task, prompt_rows] : rows) {
      TaskValues& one = by_task[task];
      const double mean = full[task] / static_cast<double>(prompt_rows.size());
      if (evaluator_.fitness().relation() == Fitness::Relation::ratio && mean != 0) one.weight = 1 / mean;
      for (auto& [prompt, row] : prompt_rows) one.prompts.push_back(std::move(row));
    }
    std::vector<TaskValues> list;
    for (auto& [task, one] : by_task) list.push_back(std::move(one));
    details->noise = reevaluation_noise(list);
  }
  return result;
}

}  // namespace namm::evolve
