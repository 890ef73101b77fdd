#include "cli/memory_warnings.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "core/policies/network_policy.hpp"

namespace namm::cli {
namespace {

/// Tokens per KV head that the budget allows behind so many of them; -1: any number.
std::int64_t budget_of(const CachePolicy& memory, const HostDescription& host, std::size_t tokens) {
  const std::int64_t heads = host.cached_heads();
  const double compression = host.compression(memory.store);
  return memory.selection.budget.tokens(static_cast<std::int64_t>(tokens),
                                        host.bytes_per_token() / compression / static_cast<double>(heads), heads, compression);
}

}  // namespace

void warn_of_few_tokens(std::span<const Budget> budgets) {
  constexpr double kFewTokens = 64;
  const auto few = std::find_if(budgets.begin(), budgets.end(), [](const Budget& budget) {
    return budget.unit == Budget::Unit::tokens && budget.value < kFewTokens;
  });
  if (few == budgets.end()) return;
  const std::string text = to_string(*few);
  spdlog::warn("--budget {}: is {} tokens per KV head, the protected ones among them; a share of {} % is written {}%", text, text,
               text, text);
}

bool warn_if_protected_exceed(const CachePolicy& memory, const HostDescription& host, std::size_t tokens) {
  if (!memory.drops() || memory.selection.mode == SelectionMode::reference) return false;
  const std::int64_t budget = budget_of(memory, host, tokens);
  const int kept = memory.selection.sinks + memory.selection.recent, means = memory.store.means;
  const int places = tokens_of_means(memory.store, host.compression(memory.store));
  if (budget < 0 || budget >= kept + places) return false;
  spdlog::warn(
      "budget: {} of {} tokens is {}, less than the {} protected tokens{}, which are kept; raise it{} or lower "
      "--protect-sinks and --protect-recent",
      to_string(memory.selection.budget), tokens, budget, kept,
      means > 0 ? " and " + std::to_string(means) + " means, worth " + std::to_string(places) + " tokens" : "",
      means > 0 ? ", hold fewer means (--store)," : "");
  return true;
}

void warn_if_all_fits(const CachePolicy& memory, const HostDescription& host, std::size_t tokens) {
  if (!memory.drops() || memory.selection.budget.unit != Budget::Unit::mebibytes) return;
  if (const std::int64_t budget = budget_of(memory, host, tokens); budget >= static_cast<std::int64_t>(tokens))
    spdlog::warn("budget: {} holds {} tokens per KV head, and there are {}; nothing is dropped",
                 to_string(memory.selection.budget), budget, tokens);
}

void warn_of_lost_means(const std::string& name, const PolicyFile& file, const CachePolicy& memory) {
  if (file.store.means == 0 || memory.store.means > 0) return;
  if (const auto calibrated = calibrated_of(*file.policy); calibrated && calibrated->recency() == 0)
    spdlog::warn(
        "policy {}: is without recency, for means of evicted tokens to make up for it, and there are none in {}; leave "
        "--store out, or add +{}means",
        name, to_string(memory.store), file.store.means);
}

}  // namespace namm::cli
