#include "evolve/unit_batch.hpp"

#include <algorithm>

namespace namm::evolve {
namespace {

/// In parts of nearly the same size. Ascending memories: the full cache, whose number is the highest, stays alone even if there
/// is one prompt only, so that a run which already knows its value groups the others alike.
std::vector<UnitGroup> neighbours(std::span<const Unit> units, std::size_t together) {
  std::vector<UnitGroup> out;
  for (std::size_t begin = 0; begin < units.size();) {
    std::size_t end = begin + 1;
    while (end < units.size() && units[end].prompt == units[begin].prompt && units[end - 1].memory < units[end].memory) ++end;
    const std::size_t count = end - begin, parts = (count + together - 1) / together;
    for (std::size_t part = 0; part < parts; ++part) {
      const std::size_t first = begin + count * part / parts;
      out.push_back({first, begin + count * (part + 1) / parts - first});
    }
    begin = end;
  }
  return out;
}

std::size_t tokens_of(const Prompt& prompt) {
  return prompt.context.size() + prompt.question.size() + prompt.answer.size();
}

}  // namespace

std::vector<CachePolicy> UnitBatch::memories_of(std::size_t number) const {
  std::vector<CachePolicy> out;
  for (const Unit& unit : group(number)) out.push_back(memories[unit.memory]);
  return out;
}

UnitBatch make_batch(const Fitness& fitness, const ProtocolSettings& protocol, std::span<const CachePolicy> memories,
                     std::span<const Prompt> prompts, std::span<const Unit> units) {
  UnitBatch out{fitness, protocol, memories, prompts, units, neighbours(units, fitness.together())};
  const bool shares = fitness.together() > 1;  // work, between the groups of a prompt: prompt by prompt then
  std::stable_sort(out.groups.begin(), out.groups.end(), [&](const UnitGroup& a, const UnitGroup& b) {
    const std::size_t prompt_a = units[a.first].prompt, prompt_b = units[b.first].prompt;
    const std::size_t tokens_a = tokens_of(prompts[prompt_a]), tokens_b = tokens_of(prompts[prompt_b]);
    return tokens_a != tokens_b ? tokens_a > tokens_b : shares && prompt_a < prompt_b;
  });
  return out;
}

}  // namespace namm::evolve
