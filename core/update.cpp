#include "core/update.hpp"

#include <exception>
#include <numeric>

namespace namm {

Selection plan_update(const Policy& policy, const SelectionSettings& settings, std::span<const HeadTokens> heads,
                      std::int64_t budget_tokens) {
  Selection all;
  if (policy.keeps_everything()) {
    for (const HeadTokens& head : heads) {
      all.kept.emplace_back(head.size());
      std::iota(all.kept.back().begin(), all.kept.back().end(), 0);
    }
    return all;
  }
  std::vector<std::vector<float>> scores(heads.size());
  std::vector<std::exception_ptr> errors(heads.size());
  // no exception may leave the parallel region; the first head's is rethrown, so that the message does not depend on timing
#pragma omp parallel for schedule(dynamic)
  for (std::ptrdiff_t i = 0; i < static_cast<std::ptrdiff_t>(heads.size()); ++i) {
    const std::size_t h = static_cast<std::size_t>(i);
    try {
      scores[h].resize(heads[h].size());
      policy.score(heads[h], scores[h]);
    } catch (...) {
      errors[h] = std::current_exception();
    }
  }
  for (const std::exception_ptr& error : errors) {
    if (error) std::rethrow_exception(error);
  }
  std::vector<ScoredHead> scored;
  for (std::size_t h = 0; h < heads.size(); ++h) scored.push_back({heads[h].layer, scores[h], heads[h].positions});
  return select(settings, scored, budget_tokens);
}

}  // namespace namm
