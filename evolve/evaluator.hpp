#pragma once
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "evolve/unit_pool.hpp"

namespace namm::evolve {

/// Measures units with one fitness. The result does not depend on who measures them.
class Evaluator {
 public:
  Evaluator(UnitPool& pool, const Fitness& fitness, const ProtocolSettings& protocol)
      : pool_(pool), fitness_(fitness), protocol_(protocol) {}

  /// result[i] belongs to units[i]. The longest prompts are begun first, so that nobody waits long for the last one. Neighbours
  /// in `units` of one prompt with ascending memories are measured together, as many as the fitness likes; who does it has no
  /// influence on that. Nothing if `stop` became true before all were measured. Exceptions of the hosts and of the fitness reach
  /// the caller.
  std::optional<std::vector<double>> measure(std::span<const CachePolicy> memories, std::span<const Prompt> prompts,
                                             std::span<const Unit> units, const std::atomic<bool>* stop = nullptr,
                                             const Progress& progress = {});
  const Fitness& fitness() const { return fitness_; }
  const ProtocolSettings& protocol() const { return protocol_; }
  /// What was spent since this was asked last.
  UnitCosts take_costs() { return std::exchange(costs_, {}); }

 private:
  UnitPool& pool_;
  const Fitness& fitness_;
  ProtocolSettings protocol_;
  UnitCosts costs_;
};

}  // namespace namm::evolve
