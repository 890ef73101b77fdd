#pragma once
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <tuple>
#include <vector>

#include "evolve/evaluator.hpp"
#include "evolve/prompt_plan.hpp"

namespace namm::evolve {

/// What else measure() found.
struct MeasureDetails {
  double noise = 0;                            ///< noise.hpp, over the policies that have a value
  std::vector<std::vector<double>> by_budget;  ///< [policy][budget], like the values; NaN where it was not measured
};

/// Fitness of policies relative to the full cache on the same prompts, whose values are measured once and remembered.
class RelativeMeasure {
 public:
  /// `base` is the memory without policy and budget. With `remember`, the full cache's values are kept from call to call.
  RelativeMeasure(Evaluator& evaluator, CachePolicy base, std::vector<Budget> budgets, bool remember);

  /// One number per policy: relative_fitness over the tasks of `choices`. NaN for a null policy (a candidate that could not be
  /// made). Nothing if `stop` became true. `details` is filled if given.
  std::optional<std::vector<double>> measure(std::span<const std::shared_ptr<const Policy>> policies,
                                             std::span<const PromptChoice> choices, std::span<const Prompt> prompts,
                                             const std::atomic<bool>* stop = nullptr, const Progress& progress = {},
                                             MeasureDetails* details = nullptr);

 private:
  using Key = std::tuple<std::size_t, tasks::Split, std::uint64_t>;  // task, split, prompt number

  Evaluator& evaluator_;
  CachePolicy base_;
  std::vector<Budget> budgets_;
  bool remember_;
  std::map<Key, double> full_;
};

}  // namespace namm::evolve
