#include "evolve/evaluator.hpp"

namespace namm::evolve {

std::optional<std::vector<double>> Evaluator::measure(std::span<const Memory> memories, std::span<const Prompt> prompts,
                                                      std::span<const Unit> units, const std::atomic<bool>* stop,
                                                      const Progress& progress) {
  std::vector<double> values(units.size());
  const auto work = [&](std::size_t unit, Host& host) {
    values[unit] = fitness_.measure(host, memories[units[unit].memory], prompts[units[unit].prompt], protocol_);
  };
  if (!pool_.run(units.size(), work, stop, progress)) return std::nullopt;
  return values;
}

}  // namespace namm::evolve
