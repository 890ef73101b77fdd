#pragma once
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <tuple>
#include <vector>

#include "evolve/prompt_plan.hpp"
#include "evolve/unit_pool.hpp"

namespace namm::evolve {

/// What else measure() found.
struct MeasureDetails {
  double noise = 0;                            ///< noise.hpp, over the policies that have a value
  std::vector<std::vector<double>> by_budget;  ///< [policy][budget], like the values; NaN where it was not measured
};

/// Fitness of policies relative to the full cache on the same prompts, whose values are measured once and remembered.
class RelativeMeasure {
 public:
  /// `base` is the memory without policy and budget. With `remember`, the full cache's values are kept from call to call. `pool`
  /// and `fitness` live longer.
  RelativeMeasure(UnitPool& pool, const Fitness& fitness, const ProtocolSettings& protocol, CachePolicy base,
                  std::vector<Budget> budgets, bool remember);

  /// One number per policy: relative_fitness over the tasks of `choices`. NaN for a null policy (a candidate that could not be
  /// made). Nothing if `stop` became true. `details` is filled if given. Exceptions of the hosts and of the fitness reach the
  /// caller.
  std::optional<std::vector<double>> measure(std::span<const std::shared_ptr<const Policy>> policies,
                                             std::span<const PromptChoice> choices, std::span<const Prompt> prompts,
                                             const std::atomic<bool>* stop = nullptr, const Progress& progress = {},
                                             MeasureDetails* details = nullptr);

 private:
  using Key = std::tuple<std::size_t, tasks::Split, std::uint64_t>;  // task, split, prompt number
  struct Measured;

  /// Policy p under budget b is number p * B + b; the full cache is the last one.
  std::vector<CachePolicy> memories_of(std::span<const std::shared_ptr<const Policy>> policies) const;
  /// The full cache where its value is not known, then every policy on every prompt under the prompt's budgets.
  std::vector<Unit> units_of(std::span<const std::shared_ptr<const Policy>> policies,
                             std::span<const PromptChoice> choices) const;
  /// relative_fitness over the units whose memory is in [first, last); NaN if there are none.
  double relative(const Measured& measured, std::size_t first, std::size_t last) const;
  double noise(const Measured& measured, std::span<const double> result) const;
  double full(const PromptChoice& choice) const { return full_.at(key(choice)); }
  static Key key(const PromptChoice& choice) { return {choice.task, choice.split, choice.index}; }

  UnitPool& pool_;
  const Fitness& fitness_;
  ProtocolSettings protocol_;
  CachePolicy base_;
  std::vector<Budget> budgets_;
  bool remember_;
  std::map<Key, double> full_;
};

}  // namespace namm::evolve
