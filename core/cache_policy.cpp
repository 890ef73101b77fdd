#include "namm/cache_policy.hpp"

#include <omp.h>

#include <algorithm>
#include <exception>
#include <map>
#include <numeric>
#include <stdexcept>
#include <unordered_map>
#include <vector>

#include "base/threads.hpp"
#include "core/policy_file.hpp"

namespace namm {
namespace {

Selection keep_all(std::span<const HeadTokens> heads) {
  Selection all;
  for (const HeadTokens& head : heads) {
    all.kept.emplace_back(head.size());
    std::iota(all.kept.back().begin(), all.kept.back().end(), 0);
  }
  return all;
}

/// Calls work(number of the head) for all heads, in parallel. `threads`: 0 = as many as the machine has.
template <typename Work>
void for_all_heads(std::size_t count, int threads, const Work& work) {
  [[maybe_unused]] const int team = usable_threads(threads > 0 ? threads : omp_get_max_threads());
  std::vector<std::exception_ptr> errors(count);
  // no exception may leave the parallel region; the first head's is rethrown, so that the message does not depend on timing
#pragma omp parallel for schedule(dynamic) num_threads(team) if (team > 1)
  for (std::ptrdiff_t i = 0; i < static_cast<std::ptrdiff_t>(count); ++i) {
    const std::size_t h = static_cast<std::size_t>(i);
    try {
      work(h);
    } catch (...) {
      errors[h] = std::current_exception();
    }
  }
  for (const std::exception_ptr& error : errors) {
    if (error) std::rethrow_exception(error);
  }
}

/// Replaces a token's score by the mean of its scores in the heads of its layer that hold it.
void average_within_layers(std::span<const HeadTokens> heads, std::vector<std::vector<float>>& scores) {
  struct Sum {
    double scores = 0, heads = 0;
  };
  std::map<int, std::unordered_map<std::int32_t, Sum>> layers;
  for (std::size_t h = 0; h < heads.size(); ++h)
    for (std::size_t i = 0; i < scores[h].size(); ++i) {
      Sum& sum = layers[heads[h].layer][heads[h].positions[i]];
      sum.scores += static_cast<double>(scores[h][i]);
      sum.heads += 1;
    }
  for (std::size_t h = 0; h < heads.size(); ++h)
    for (std::size_t i = 0; i < scores[h].size(); ++i) {
      const Sum& sum = layers[heads[h].layer][heads[h].positions[i]];
      scores[h][i] = static_cast<float>(sum.scores / sum.heads);
    }
}

}  // namespace

CachePolicy CachePolicy::with_budget(std::string_view budget) const {
  return with_budget(parse_budget(budget));
}

CachePolicy CachePolicy::with_budget(const Budget& budget) const {
  CachePolicy out = *this;
  out.selection.budget = budget;
  return out;
}

CachePolicy CachePolicy::with_mode(std::string_view mode) const {
  CachePolicy out = *this;
  out.selection.mode = parse_selection_mode(mode);
  return out;
}

CachePolicy CachePolicy::with_interval(int tokens) const {
  CachePolicy out = *this;
  out.interval_tokens = tokens;
  return out;
}

CachePolicy CachePolicy::with_store(std::string_view formats) const {
  CachePolicy out = *this;
  out.store = parse_row_formats(formats);
  return out;
}

CachePolicy CachePolicy::with_protection(int sinks, int recent) const {
  CachePolicy out = *this;
  out.selection.sinks = sinks;
  out.selection.recent = recent;
  return out;
}

StatisticSet CachePolicy::required() const {
  return (policy ? policy->required() : StatisticSet()) | (observer ? observer->required() : StatisticSet());
}

const ContentReader* CachePolicy::reader() const {
  const ContentReader* const own = policy ? policy->reader() : nullptr;
  return own || !observer ? own : observer->reader();
}

bool CachePolicy::reads_tokens() const {
  return reader() || (observer && observer->wants_tokens());
}

bool CachePolicy::reads_queries() const {
  const ContentReader* const reads = reader();
  return (reads && reads->reads_queries()) || (observer && observer->wants_queries());
}

bool CachePolicy::reads_attention() const {
  return required().reads_attention() || (observer && observer->wants_attention());
}

CachePolicy load_policy(const std::string& name_or_path) {
  return resolve_policy(name_or_path);
}

void require_valid(const CachePolicy& policy) {
  const SelectionSettings& selection = policy.selection;
  if (policy.policy && policy.policy->required().has(Statistic::content) && !policy.policy->reader())
    throw std::invalid_argument("policy " + std::string(policy.policy->name()) +
                                ": its features need a probe fitted to the model; run 'namm calibrate' and give its policy file "
                                "(--probe for evolve)");
  if (policy.interval_tokens < 1)
    throw std::invalid_argument("interval: must be at least 1 token, is " + std::to_string(policy.interval_tokens));
  const int protected_tokens = selection.sinks + selection.recent, means = policy.store.means;
  if (selection.sinks < 0 || selection.recent < 0)
    throw std::invalid_argument("protected tokens: must be 0 or more, are " + std::to_string(selection.sinks) + " sinks and " +
                                std::to_string(selection.recent) + " recent");
  const int places = tokens_of_means(policy.store, usual_compression(policy.store));
  if (selection.budget.unit == Budget::Unit::tokens && means > 0 && selection.budget.value < protected_tokens + places)
    throw std::invalid_argument("budget: must hold the " + std::to_string(protected_tokens) + " protected tokens and " +
                                std::to_string(means) + " means of evicted ones (store)" +
                                (places > means ? ", worth " + std::to_string(places) + " tokens" : "") + ", is " +
                                to_string(selection.budget) + "; raise it, protect fewer tokens, or hold fewer means");
  if (selection.budget.unit == Budget::Unit::tokens && selection.budget.value < protected_tokens)
    throw std::invalid_argument(
        "budget: must hold the " + std::to_string(protected_tokens) + " protected tokens (" + std::to_string(selection.sinks) +
        " sinks, " + std::to_string(selection.recent) + " recent), is " + to_string(selection.budget) +
        "; raise it or protect fewer (sinks, recent; on the command line --protect-sinks, --protect-recent)");
}

Selection plan_update(const Policy& policy, const SelectionSettings& settings, std::span<const HeadTokens> heads,
                      std::int64_t budget_tokens, int threads) {
  if (policy.keeps_everything()) return keep_all(heads);
  std::vector<std::vector<float>> scores(heads.size());
  for_all_heads(heads.size(), threads, [&](std::size_t h) {
    scores[h].resize(heads[h].size());
    policy.score(heads[h], scores[h]);
  });
  if (policy.chooses_per_layer()) average_within_layers(heads, scores);
  std::vector<ScoredHead> scored;
  for (std::size_t h = 0; h < heads.size(); ++h) scored.push_back({heads[h].layer, scores[h], heads[h].positions});
  SelectionSettings own = settings;
  if (budget_tokens >= 0)
    own.recent = std::max(own.recent, static_cast<int>(policy.recent_share() * static_cast<double>(budget_tokens)));
  return select(own, scored, budget_tokens);
}

Selection update_heads(const CachePolicy& policy, std::span<const HeadTokens> heads, std::int64_t tokens_seen,
                       double bytes_per_token, std::int64_t all_heads, int threads, double compression) {
  if (policy.observer) for_all_heads(heads.size(), threads, [&](std::size_t h) { policy.observer->on_update(heads[h]); });
  if (!policy.drops()) return keep_all(heads);
  const std::int64_t count = all_heads > 0 ? all_heads : static_cast<std::int64_t>(heads.size());
  std::int64_t budget =
      policy.selection.budget.tokens(tokens_seen, bytes_per_token / static_cast<double>(count), count, compression);
  if (budget >= 0)  // means are held in 16 bits
    budget = std::max<std::int64_t>(1, budget - tokens_of_means(policy.store, compression));
  return plan_update(*policy.policy, policy.selection, heads, budget, threads);
}

}  // namespace namm
