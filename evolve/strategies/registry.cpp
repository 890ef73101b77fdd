#include <stdexcept>
#include <vector>

#include "evolve/strategies/cma.hpp"
#include "evolve/strategies/sep_cma.hpp"
#include "evolve/strategy.hpp"
#include "namm/policies/registry.hpp"

namespace namm::evolve {
namespace {

template <class Kind>
std::unique_ptr<Strategy> make(const StrategySettings& settings) {
  return std::make_unique<Kind>(settings);
}

constexpr StrategyEntry kRegistry[] = {
    {"cma", "CMA-ES, full covariance, active update (arXiv 1604.00772); best below about 1,000 parameters", make<Cma>},
    {"sep-cma", "CMA-ES, diagonal covariance (Ros and Hansen 2008); linear in the number of parameters", make<SepCma>},
};

}  // namespace

std::span<const StrategyEntry> strategy_registry() {
  return kRegistry;
}

std::unique_ptr<Strategy> make_strategy(std::string_view name, const StrategySettings& settings) {
  std::vector<std::string_view> names;
  for (const StrategyEntry& entry : kRegistry) {
    if (entry.name == name) {
      StrategySettings complete = settings;
      if (complete.population == 0) complete.population = default_population(complete.dimension);
      return entry.make(complete);
    }
    names.push_back(entry.name);
  }
  std::string message = "strategy: no strategy is called '" + std::string(name) + "'; did you mean ";
  const std::vector<std::string> nearest = nearest_names(name, names);
  for (std::size_t i = 0; i < nearest.size(); ++i) message += (i == 0 ? "'" : " or '") + nearest[i] + "'";
  throw std::invalid_argument(message + "?");
}

}  // namespace namm::evolve
