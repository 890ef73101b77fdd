#include "evolve/evaluator.hpp"

#include <algorithm>
#include <map>
#include <numeric>
#include <tuple>

namespace namm::evolve {

namespace {

/// Indices of units that are measured together.
struct Group {
  std::vector<std::size_t> units;
  std::size_t prompt = 0;
  std::size_t round = 0;  ///< groups of the same prompt before it
};

/// Neighbours of one prompt with ascending memories, in parts of nearly the same size. Ascending: the full cache, whose number is
/// the highest, stays alone even if there is one prompt only, so that a run which already knows its value groups the others
/// alike.
std::vector<Group> group(std::span<const Unit> units, std::size_t together) {
  std::vector<Group> out;
  std::map<std::size_t, std::size_t> rounds;
  for (std::size_t begin = 0; begin < units.size();) {
    std::size_t end = begin + 1;
    while (end < units.size() && units[end].prompt == units[begin].prompt && units[end - 1].memory < units[end].memory) ++end;
    const std::size_t count = end - begin, parts = (count + together - 1) / together;
    for (std::size_t part = 0; part < parts; ++part) {
      Group& one = out.emplace_back();
      for (std::size_t i = begin + count * part / parts; i < begin + count * (part + 1) / parts; ++i) one.units.push_back(i);
      one.prompt = units[begin].prompt;
      one.round = rounds[one.prompt]++;
    }
    begin = end;
  }
  return out;
}

/// The longest prompts first. A fitness that shares work between the groups of a prompt does that work in the first one: nobody
/// should wait for it, so as many prompts as there are workers are begun at once; and no more, so that they can be remembered.
void order(std::vector<Group>& groups, std::span<const Prompt> prompts, std::size_t workers) {
  std::vector<std::size_t> by_length(prompts.size()), block(prompts.size());
  std::iota(by_length.begin(), by_length.end(), std::size_t{0});
  const auto tokens = [&](std::size_t p) {
    return prompts[p].context.size() + prompts[p].question.size() + prompts[p].answer.size();
  };
  std::stable_sort(by_length.begin(), by_length.end(), [&](std::size_t a, std::size_t b) { return tokens(a) > tokens(b); });
  for (std::size_t i = 0; i < by_length.size(); ++i) block[by_length[i]] = i / workers;
  std::stable_sort(groups.begin(), groups.end(), [&](const Group& a, const Group& b) {
    return std::tuple(block[a.prompt], a.round, tokens(b.prompt)) < std::tuple(block[b.prompt], b.round, tokens(a.prompt));
  });
}

}  // namespace

std::optional<std::vector<double>> Evaluator::measure(std::span<const Memory> memories, std::span<const Prompt> prompts,
                                                      std::span<const Unit> units, const std::atomic<bool>* stop,
                                                      const Progress& progress) {
  std::vector<Group> groups = group(units, fitness_.together());
  order(groups, prompts, fitness_.together() > 1 ? static_cast<std::size_t>(pool_.workers()) : 1);
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
