#include "evolve/evaluator.hpp"

#include <algorithm>
#include <map>

namespace namm::evolve {

namespace {

/// Indices of units that are measured together.
struct Group {
  std::vector<std::size_t> units;
  std::size_t round = 0;   ///< groups of the same prompt before it
  std::size_t tokens = 0;  ///< of the prompt
};

/// Neighbours of one prompt with ascending memories, in parts of nearly the same size.
std::vector<Group> group(std::span<const Unit> units, std::span<const Prompt> prompts, std::size_t together) {
  std::vector<Group> out;
  std::map<std::size_t, std::size_t> rounds;
  for (std::size_t begin = 0; begin < units.size();) {
    std::size_t end = begin + 1;
    while (end < units.size() && units[end].prompt == units[begin].prompt && units[end - 1].memory < units[end].memory) ++end;
    const Prompt& prompt = prompts[units[begin].prompt];
    const std::size_t count = end - begin, parts = (count + together - 1) / together;
    for (std::size_t part = 0; part < parts; ++part) {
      Group& one = out.emplace_back();
      for (std::size_t i = begin + count * part / parts; i < begin + count * (part + 1) / parts; ++i) one.units.push_back(i);
      one.round = together > 1 ? rounds[units[begin].prompt]++ : 0;
      one.tokens = prompt.context.size() + prompt.question.size() + prompt.answer.size();
    }
    begin = end;
  }
  return out;
}

}  // namespace

std::optional<std::vector<double>> Evaluator::measure(std::span<const Memory> memories, std::span<const Prompt> prompts,
                                                      std::span<const Unit> units, const std::atomic<bool>* stop,
                                                      const Progress& progress) {
  std::vector<Group> groups = group(units, prompts, fitness_.together());
  // A fitness that shares work between the groups of a prompt does that work in the first one: nobody should wait for it.
  std::stable_sort(groups.begin(), groups.end(),
                   [](const Group& a, const Group& b) { return a.round != b.round ? a.round < b.round : a.tokens > b.tokens; });
  std::vector<Unit> ordered;
  std::vector<std::size_t> order, begins;
  for (const Group& one : groups) {
    begins.push_back(ordered.size());
    for (const std::size_t unit : one.units) {
      ordered.push_back(units[unit]);
      order.push_back(unit);
    }
  }
  std::vector<double> measured(units.size()), values(units.size());
  const UnitBatch batch{fitness_, protocol_, memories, prompts, ordered, begins};
  if (!pool_.measure(batch, measured, costs_, stop, progress)) return std::nullopt;
  for (std::size_t i = 0; i < order.size(); ++i) values[order[i]] = measured[i];
  return values;
}

}  // namespace namm::evolve
