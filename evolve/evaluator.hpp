#pragma once
#include <optional>
#include <span>
#include <vector>

#include "evolve/fitness.hpp"
#include "evolve/host_pool.hpp"

namespace namm::evolve {

/// One measurement: which memory on which prompt.
struct Unit {
  std::size_t memory = 0;
  std::size_t prompt = 0;
};

/// Measures units on a pool of hosts. The result does not depend on the number of workers.
class Evaluator {
 public:
  Evaluator(HostPool& pool, const Fitness& fitness, const ProtocolSettings& protocol)
      : pool_(pool), fitness_(fitness), protocol_(protocol) {}

  /// result[i] belongs to units[i]. Nothing if `stop` became true before all were measured. Exceptions of the hosts and of the
  /// fitness reach the caller.
  std::optional<std::vector<double>> measure(std::span<const Memory> memories, std::span<const Prompt> prompts,
                                             std::span<const Unit> units, const std::atomic<bool>* stop = nullptr,
                                             const Progress& progress = {});
  const Fitness& fitness() const { return fitness_; }
  const ProtocolSettings& protocol() const { return protocol_; }
  HostPool& pool() { return pool_; }

 private:
  HostPool& pool_;
  const Fitness& fitness_;
  ProtocolSettings protocol_;
};

}  // namespace namm::evolve
