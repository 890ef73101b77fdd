#include "evolve/evaluator.hpp"

#include <algorithm>
#include <numeric>

namespace namm::evolve {

std::optional<std::vector<double>> Evaluator::measure(std::span<const Memory> memories, std::span<const Prompt> prompts,
                                                      std::span<const Unit> units, const std::atomic<bool>* stop,
                                                      const Progress& progress) {
  const auto tokens = [&](std::size_t unit) {
    const Prompt& prompt = prompts[units[unit].prompt];
    return prompt.context.size() + prompt.question.size() + prompt.answer.size();
  };
  std::vector<std::size_t> order(units.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return tokens(a) > tokens(b); });
  std::vector<Unit> ordered;
  for (const std::size_t i : order) ordered.push_back(units[i]);

  std::vector<double> measured(units.size()), values(units.size());
  if (!pool_.measure({fitness_, protocol_, memories, prompts, ordered}, measured, costs_, stop, progress)) return std::nullopt;
  for (std::size_t i = 0; i < order.size(); ++i) values[order[i]] = measured[i];
  return values;
}

}  // namespace namm::evolve
