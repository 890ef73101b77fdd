#include <stdexcept>

#include "base/registry.hpp"
#include "evolve/strategies/cma.hpp"
#include "evolve/strategies/cr_fm_nes.hpp"
#include "evolve/strategies/es.hpp"
#include "evolve/strategies/sep_cma.hpp"
#include "evolve/strategies/sep_cma_tpa.hpp"
#include "evolve/strategy.hpp"

namespace namm::evolve {
namespace {

template <class Kind>
std::unique_ptr<Strategy> make(const StrategySettings& settings) {
  return std::make_unique<Kind>(settings);
}

constexpr StrategyEntry kRegistry[] = {
    {"cma",
     "CMA-ES, full covariance, active update (arXiv 1604.00772); for long runs of few parameters that depend on each other",
     make<Cma>},
    {"sep-cma", "CMA-ES, diagonal covariance (Ros and Hansen 2008); linear in the number of parameters", make<SepCma>},
    {"sep-cma-tpa",
     "sep-cma with mirrored draws and two-point step-size adaptation (Hansen et al. 2014); for noise and many parameters",
     make<SepCmaTpa>},
    {"cr-fm-nes", "natural evolution strategy, scales and one direction (arXiv 2201.11422)", make<CrFmNes>},
    {"es", "antithetic evolution strategy with Adam, fixed step size (arXiv 1703.03864); for many parameters and much noise",
     make<AntitheticEs>},
};

}  // namespace

std::span<const StrategyEntry> strategy_registry() {
  return kRegistry;
}

std::unique_ptr<Strategy> make_strategy(std::string_view name, const StrategySettings& settings) {
  const StrategyEntry& entry = find_entry("strategy", name, kRegistry);
  StrategySettings complete = settings;
  if (complete.population == 0) complete.population = default_population(complete.dimension);
  return entry.make(complete);
}

}  // namespace namm::evolve
