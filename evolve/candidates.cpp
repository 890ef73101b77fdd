#include "evolve/candidates.hpp"

#include <cmath>
#include <limits>

namespace namm::evolve {

std::unique_ptr<Strategy> start_strategy(const RunSettings& s, const Policy& from, std::int64_t restart) {
  const std::vector<float> start = from.parameters();
  StrategySettings settings;
  settings.dimension = start.size();
  settings.population = s.population;
  settings.step_size = s.step_size;
  settings.seed = s.seed;
  settings.mean.assign(start.begin(), start.end());
  auto strategy = make_strategy(s.strategy, settings);
  if (restart == 0) return strategy;
  settings.seed += 0x9e3779b97f4a7c15u * static_cast<std::uint64_t>(restart);
  const double population = strategy->population() * std::pow(s.stop.restart_population, static_cast<double>(restart));
  settings.population = static_cast<int>(population);
  if (strategy->population() % 2 == 0) settings.population -= settings.population % 2;  // some draw in pairs
  return make_strategy(s.strategy, settings);
}

std::shared_ptr<const Policy> with_parameters(const Policy& prototype, std::span<const double> values) {
  std::vector<float> parameters(values.size());
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    if (!(std::abs(values[i]) <= static_cast<double>(std::numeric_limits<float>::max()))) return nullptr;
    parameters[i] = static_cast<float>(values[i]);
  }
  auto policy = prototype.clone();
  policy->set_parameters(parameters);
  return policy;
}

}  // namespace namm::evolve
