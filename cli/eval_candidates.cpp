#include "cli/eval_candidates.hpp"

#include <algorithm>
#include <stdexcept>

#include "calibrate/hindsight.hpp"
#include "calibrate/prompt_scores.hpp"

namespace namm::cli {
namespace {

/// Whether results could not tell them apart: the budget counts as it is written there.
bool same_row(const Candidate& a, const Candidate& b) {
  return a.name == b.name && a.memory.selection.mode == b.memory.selection.mode &&
         to_string(a.memory.selection.budget) == to_string(b.memory.selection.budget);
}

}  // namespace

CachePolicy Candidate::memory_of(Host& host, const Prompt& prompt, const ProtocolSettings& protocol) const {
  CachePolicy out = memory;
  if (hindsight) out.policy = hindsight->look(host, prompt, protocol);
  return out;
}

std::vector<Candidate> candidates_from(const po::variables_map& values) {
  const std::vector<MemoryOptions> memories = memories_from(values);
  const std::vector<Budget> budgets = parse_budgets(values["budget"].as<std::string>());
  std::vector<Candidate> out;
  for (const std::string& name : split_list(values["policy"].as<std::string>(), "--policy")) {
    const auto hindsight = calibrate::make_hindsight(name);
    PolicyFile file;
    if (hindsight)
      file.policy = std::make_shared<calibrate::PromptScores>(name, std::map<int, calibrate::PromptScores::ByHead>());
    else
      file = resolve_policy(name);
    if (!file.drops()) continue;
    for (const Budget& budget : budgets)
      for (const MemoryOptions& options : memories) {
        Candidate candidate{name, make_memory(file, options, budget), hindsight};
        if (std::any_of(out.begin(), out.end(), [&](const Candidate& one) { return same_row(one, candidate); }))
          throw std::invalid_argument("--policy, --budget, --mode: must name what is measured once, name " + name + " at " +
                                      to_string(budget) + ", " + std::string(to_string(candidate.memory.selection.mode)) +
                                      " twice; remove one");
        out.push_back(std::move(candidate));
      }
  }
  return out;
}

}  // namespace namm::cli
