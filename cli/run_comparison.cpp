#include "cli/run_comparison.hpp"

#include <llama.h>
#include <malloc.h>

#include <optional>
#include <stdexcept>

#include "cli/memory_warnings.hpp"
#include "cli/own_policy.hpp"
#include "eval/evaluation.hpp"
#include "namm/policy.hpp"

namespace namm::cli {

std::vector<LabelledRun> runs_from(const po::variables_map& values) {
  const std::vector<MemoryOptions> memories = memories_from(values);
  const std::string option = given_memory_option(values);
  const std::string model = values["model"].as<std::string>();
  std::optional<std::vector<Budget>> asked;
  if (values.contains("budget")) asked = parse_budgets(values["budget"].as<std::string>());
  const auto first = asked ? std::optional(asked->front()) : std::nullopt;
  // without a policy: a budget or the like says that something is to be dropped
  const std::string names = values.contains("policy")
                                ? values["policy"].as<std::string>()
                                : policy_unless_named(model, first, option.empty() ? "full" : kDefaultPolicyName);
  std::vector<LabelledRun> out;
  bool drops = false;
  for (const std::string& given : split_list(names, "--policy")) {
    const std::string name = recorded_policy(given);
    const PolicyFile file = resolve_policy_of(name, model, first);
    const std::vector<Budget> budgets = asked.value_or(std::vector{file.selection.budget});
    if (!file.drops()) {
      out.push_back({"namm", name, "", "", make_memory(file, memories.front(), {}), {}, 0});
      continue;
    }
    drops = true;
    if (!values.contains("budget") && budgets.front().unit == Budget::Unit::unlimited)
      throw std::invalid_argument("--budget: must be given with the policy " + name + ", is missing; for example --budget 25%");
    for (const MemoryOptions& options : memories)
      for (const Budget& budget : budgets) {
        const PolicyFile of_budget = resolve_policy_of(name, model, budget);
        const CachePolicy memory = make_memory(of_budget, options, budget);
        warn_of_lost_means(name, of_budget, memory);
        out.push_back({"namm", name, to_string(budget), std::string(to_string(memory.selection.mode)), memory, {}, 0});
      }
  }
  if (!drops && !option.empty())
    throw std::invalid_argument(option + ": must be given with a policy that drops tokens, is given with " + names +
                                "; leave it out or name another --policy");
  if (out.size() > 1 && !values.contains("compare"))
    throw std::invalid_argument("--policy, --budget, --mode: must name one run, name " + std::to_string(out.size()) +
                                "; add --compare for a table of them");
  return out;
}

void start_measuring() {
  malloc_trim(0);
  eval::reset_peak_resident();
}

void compare(std::vector<LabelledRun>& runs, const MakeHost& make_host, const Go& go) {
  std::vector<LabelledRun> all;
  std::int64_t cells = 0;
  for (const RunOn on : {RunOn::stock, RunOn::stock_flash_attention}) {
    start_measuring();
    const auto host = make_host(on);
    cells = llama_n_ctx(host->context());
    LabelledRun run{"llama.cpp", on == RunOn::stock ? "flash attention off" : "flash attention on", "", "", {}, {}, 0};
    run.outcome = go(*host, run.memory, run.runtime + " " + run.policy);
    all.push_back(std::move(run));
    if (!all.back().outcome.complete) break;
  }
  LabelledRun full{"namm", "full", "", "", {}, {}, 0};
  full.memory.policy = make_policy("full");
  if (runs.front().policy != "full") runs.insert(runs.begin(), std::move(full));
  for (LabelledRun& run : runs) {
    if (!all.back().outcome.complete) break;
    start_measuring();
    const auto host = make_host(RunOn::attached);
    run.outcome = go(*host, run.memory, run.policy + " " + run.budget + " " + run.mode);
    const std::int64_t stock_bytes = static_cast<std::int64_t>(host->description().bytes_per_token()) * cells;
    for (LabelledRun& stock : all)
      if (!stock.outcome.usage) stock.stock_kv_bytes = stock_bytes;
    all.push_back(std::move(run));
  }
  runs = std::move(all);
}

}  // namespace namm::cli
