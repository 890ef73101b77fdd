#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "host/host_pool.hpp"
#include "host/protocol.hpp"

namespace namm::evolve {

/// Which prompt of which task, and under which budgets it is measured.
struct PromptChoice {
  std::size_t task = 0;
  tasks::Split split = tasks::Split::train;
  std::uint64_t index = 0;
  std::size_t length_tokens = 0;
  std::vector<std::size_t> budgets;  ///< indices into the run's budgets
};

/// Decides which prompts a generation and the validation see; everything follows from these numbers and the generation.
struct PromptPlan {
  std::size_t tasks = 1;
  std::vector<std::size_t> lengths_tokens = {512};  ///< take turns over the prompt numbers
  std::size_t budgets = 1;                          ///< take turns over the prompts of a minibatch, and over the tasks
  std::size_t prompts_per_task = 8;
  std::size_t training_pool = 0;  ///< different training prompts per task; 0 = new ones in every generation
  std::size_t validation_prompts = 16;
  std::uint64_t seed = 1;

  /// prompts_per_task per task, different within a generation, one budget each.
  std::vector<PromptChoice> minibatch(std::int64_t generation) const;
  /// The same in every generation; every prompt under every budget.
  std::vector<PromptChoice> validation() const;
};

/// Makes and encodes prompts on the pool's hosts. result[i] belongs to choices[i]. Nothing if `stop` became true.
std::optional<std::vector<Prompt>> make_prompts(HostPool& pool, const std::vector<std::shared_ptr<const tasks::Task>>& tasks,
                                                const std::vector<PromptChoice>& choices, std::uint64_t seed,
                                                const ProtocolSettings& protocol, const std::atomic<bool>* stop = nullptr);

}  // namespace namm::evolve
