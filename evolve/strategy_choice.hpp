#pragma once
#include <cstddef>
#include <string>

namespace namm::evolve {

/// The name that stands for the strategy that suits the number of parameters: from `kFewParameters` on, a few dozen generations
/// teach a full covariance nothing, and its decompositions cost (docs/strategies.md).
inline constexpr const char* kAutoStrategy = "auto";
inline constexpr std::size_t kFewParameters = 30;

/// The strategy itself, or the one that "auto" stands for.
inline std::string chosen_strategy(const std::string& strategy, std::size_t parameters) {
  if (strategy != kAutoStrategy) return strategy;
  return parameters < kFewParameters ? "cma" : "sep-cma-tpa";
}

/// The first step size where none is given: scores of few parameters are coarse, the published one is for thousands.
inline double default_step_size(std::size_t parameters) {
  return parameters < 100 ? 0.3 : 0.065;
}

}  // namespace namm::evolve
