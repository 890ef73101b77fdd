#include "evolve/evaluator.hpp"

#include <algorithm>

namespace namm::evolve {

namespace {

/// Indices of units that are measured together.
struct Group {
  std::vector<std::size_t> units;
  std::size_t prompt = 0;
  std::size_t tokens = 0;  ///< of the prompt
};

/// Neighbours of one prompt with ascending memories, in parts of nearly the same size. Ascending: the full cache, whose number is
/// the highest, stays alone even if there is one prompt only, so that a run which already knows its value groups the others
/// alike.
std::vector<Group> group(std::span<const Unit> units, std::span<const Prompt> prompts, std::size_t together) {
  std::vector<Group> out;
  for (std::size_t begin = 0; begin < units.size();) {
    std::size_t end = begin + 1;
    while (end < units.size() && units[end].prompt == units[begin].prompt && units[end - 1].memory < units[end].memory) ++end;
    const std::size_t count = end - begin, parts = (count + together - 1) / together;
    for (std::size_t part = 0; part < parts; ++part) {
      Group& one = out.emplace_back();
      for (std::size_t i = begin + count * part / parts; i < begin + count * (part + 1) / parts; ++i) one.units.push_back(i);
      one.prompt = units[begin].prompt;
      const Prompt& prompt = prompts[one.prompt];
      one.tokens = prompt.context.size() + prompt.question.size() + prompt.answer.size();
    }
    begin = end;
  }
  return out;
}

}  // namespace

std::optional<std::vector<double>> Evaluator::measure(std::span<const CachePolicy> memories, std::span<const Prompt> prompts,
                                                      std::span<const Unit> units, const std::atomic<bool>* stop,
                                                      const Progress& progress) {
  std::vector<Group> groups = group(units, prompts, fitness_.together());
  // prompt by prompt where work is shared between the groups of a prompt
  const bool shares = fitness_.together() > 1;
  std::stable_sort(groups.begin(), groups.end(), [&](const Group& a, const Group& b) {
    return a.tokens != b.tokens ? a.tokens > b.tokens : shares && a.prompt < b.prompt;
  });
  std::vector<Unit> ordered;
  std::vector<std::size_t> numbers, begins;
  for (const Group& one : groups) {
    begins.push_back(ordered.size());
    for (const std::size_t unit : one.units) {
      ordered.push_back(units[unit]);
      numbers.push_back(unit);
    }
  }
  std::vector<double> measured(units.size()), values(units.size());
  const UnitBatch batch{fitness_, protocol_, memories, prompts, ordered, begins};
  if (!pool_.measure(batch, measured, costs_, stop, progress)) return std::nullopt;
  for (std::size_t i = 0; i < numbers.size(); ++i) values[numbers[i]] = measured[i];
  return values;
}

}  // namespace namm::evolve
