#pragma once
#include <span>
#include <vector>

#include "evolve/fitness.hpp"

namespace namm::evolve {

/// One measurement: which memory on which prompt.
struct Unit {
  std::size_t memory = 0;
  std::size_t prompt = 0;
};

/// Units that are measured together: `count` neighbours from `first` on, all of one prompt.
struct UnitGroup {
  std::size_t first = 0, count = 0;
};

/// What is to be measured. All but the groups belongs to the caller, who keeps it as long as the batch.
struct UnitBatch {
  const Fitness& fitness;
  const ProtocolSettings& protocol;
  std::span<const CachePolicy> memories;
  std::span<const Prompt> prompts;
  std::span<const Unit> units;
  std::vector<UnitGroup> groups;  ///< in the order in which they are begun, which has no influence on the values

  std::span<const Unit> group(std::size_t number) const { return units.subspan(groups[number].first, groups[number].count); }
  std::size_t prompt_of(std::size_t number) const { return units[groups[number].first].prompt; }
  std::vector<CachePolicy> memories_of(std::size_t number) const;
};

/// Neighbours in `units` of one prompt with ascending memories are measured together, as many as the fitness likes; who does it
/// has no influence on that. The longest prompts are begun first, so that nobody waits long for the last one.
UnitBatch make_batch(const Fitness& fitness, const ProtocolSettings& protocol, std::span<const CachePolicy> memories,
                     std::span<const Prompt> prompts, std::span<const Unit> units);

}  // namespace namm::evolve
