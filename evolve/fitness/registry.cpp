#include <limits>
#include <stdexcept>

#include "base/registry.hpp"
#include "evolve/fitness/make.hpp"

namespace namm::evolve {
namespace {

constexpr FitnessEntry kRegistry[] = {
    {"task-score", "score of the generated answer, relative to the full cache (the published fitness)", make_task_score},
    {"answer-likelihood", "mean log-likelihood of the gold answer in nats per token, minus the full cache's",
     make_answer_likelihood},
    {"fidelity", "-KL(full || pruned) of the model's own predictions: no labels, any text will do", make_fidelity},
    {"retention", "attention of the answer that kept tokens hold, on recorded prompts (--traces): no model is run",
     make_retention},
    {"semi-live", "answer-likelihood with evictions replayed on one full prefill per prompt: only question and answer are run",
     make_semi_live},
};

}  // namespace

std::span<const FitnessEntry> fitness_registry() {
  return kRegistry;
}

std::unique_ptr<Fitness> make_fitness(std::string_view name) {
  return find_entry("fitness", name, kRegistry).make();
}

std::vector<double> Fitness::measure_together(Host& host, std::span<const CachePolicy> memories, const Prompt& prompt,
                                              const ProtocolSettings& protocol) const {
  std::vector<double> out;
  for (const CachePolicy& memory : memories) out.push_back(measure(host, memory, prompt, protocol));
  return out;
}

double relative_fitness(Fitness::Relation relation, std::span<const TaskMeans> tasks) {
  double sum = 0;
  for (const TaskMeans& task : tasks) {
    if (relation == Fitness::Relation::difference) {
      sum += task.pruned - task.full;
    } else {
      sum += task.full != 0 ? task.pruned / task.full : 1 + task.pruned;
    }
  }
  return tasks.empty() ? std::numeric_limits<double>::quiet_NaN() : sum / static_cast<double>(tasks.size());
}

}  // namespace namm::evolve
