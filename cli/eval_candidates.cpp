#include "cli/eval_candidates.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <stdexcept>

#include "base/fnv1a.hpp"
#include "calibrate/hindsight.hpp"
#include "calibrate/prompt_scores.hpp"
#include "cli/memory_warnings.hpp"
#include "cli/own_policy.hpp"

namespace namm::cli {
namespace {

/// Whether results could not tell them apart: the budget counts as it is written there.
bool same_row(const Candidate& a, const Candidate& b) {
  return a.name == b.name && a.memory.selection.mode == b.memory.selection.mode &&
         to_string(a.memory.selection.budget) == to_string(b.memory.selection.budget);
}

/// What a store of fewer bits costs by itself: the full cache, held so, beside the one in f16 that is always measured.
void add_full(const CachePolicy& file, const MemoryOptions& options, std::vector<Candidate>& out) {
  Candidate candidate{"", make_memory(file, options, {}), nullptr, {}};
  if (options.store && options.store->means > 0)
    spdlog::warn("store: {} keeps means of evicted tokens, and full evicts none: it is measured in {}", to_string(*options.store),
                 to_string(RowFormats{options.store->keys, options.store->values}));
  candidate.memory.store.means = 0;
  if (candidate.memory.store == RowFormats()) return;
  candidate.name = "full in " + to_string(candidate.memory.store);
  if (std::none_of(out.begin(), out.end(), [&](const Candidate& one) { return one.name == candidate.name; }))
    out.push_back(std::move(candidate));
}

constexpr std::string_view kRandomPolicy = "random";
constexpr int kOnce = 1 << 24;  ///< an interval that is longer than any context

/// Another draw for every prompt, so that the floor varies as it would in use; the same whenever the prompt comes again.
std::int64_t seed_of(const CachePolicy& memory, const Prompt& prompt) {
  const std::string text = memory.policy->to_json().dump() + prompt.sample.id;
  return static_cast<std::int64_t>(fnv1a({text.data(), text.size()}, kFnvStart) >> 1);
}

/// Whether the cache is brought to its budget only once, behind the context.
bool compresses_once(const po::variables_map& values) {
  const std::string when = values["compress"].as<std::string>();
  if (when != "once" && when != "chunked")
    throw std::invalid_argument("--compress: must be chunked or once, is \"" + when + "\"; chunked is the default");
  if (when == "once" && values.contains("interval"))
    throw std::invalid_argument("--compress once: must be without --interval, which is of chunks; leave one out");
  return when == "once";
}

}  // namespace

CachePolicy Candidate::memory_of(Host& host, const Prompt& prompt, const ProtocolSettings& protocol) const {
  CachePolicy out = memory;
  if (hindsight) out.policy = hindsight->look(host, prompt, protocol);
  if (out.policy->name() == kRandomPolicy) out.policy = make_policy(kRandomPolicy, {{"seed", seed_of(out, prompt)}});
  return out;
}

std::vector<Candidate> candidates_from(const po::variables_map& values) {
  const std::vector<MemoryOptions> memories = memories_from(values);
  const std::vector<Budget> budgets = parse_budgets(values["budget"].as<std::string>());
  const bool once = compresses_once(values);
  std::vector<Candidate> out;
  const std::string model = values["model"].as<std::string>();
  const std::string names = values.contains("policy") ? values["policy"].as<std::string>()
                                                      : policy_unless_named(model, budgets.front(), kDefaultPolicyName);
  for (const std::string& given : split_list(names, "--policy")) {
    const auto hindsight = calibrate::make_hindsight(given);
    const std::string name = hindsight ? std::string(hindsight->name()) : recorded_policy(given);
    for (const Budget& budget : budgets) {
      PolicyFile file;
      if (hindsight)
        file.policy = std::make_shared<calibrate::PromptScores>(name, std::map<int, calibrate::PromptScores::ByHead>());
      else
        file = resolve_policy_of(name, model, budget);
      if (!file.drops()) {
        add_full(file, memories.front(), out);
        continue;
      }
      for (const MemoryOptions& options : memories) {
        Candidate candidate{name, make_memory(file, options, budget), hindsight, file.provenance};
        warn_of_lost_means(name, file, candidate.memory);
        if (once) candidate.memory.interval_tokens = kOnce;
        if (std::any_of(out.begin(), out.end(), [&](const Candidate& one) { return same_row(one, candidate); }))
          throw std::invalid_argument("--policy, --budget, --mode: must name each combination once, name " + name + " at " +
                                      to_string(budget) + ", " + std::string(to_string(candidate.memory.selection.mode)) +
                                      " twice; remove one");
        out.push_back(std::move(candidate));
      }
    }
  }
  return out;
}

}  // namespace namm::cli
