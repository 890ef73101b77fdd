#include <utility>

#include "base/registry.hpp"
#include "evolve/strategies/cma.hpp"
#include "evolve/strategies/cr_fm_nes.hpp"
#include "evolve/strategies/es.hpp"
#include "evolve/strategies/sep_cma.hpp"
#include "evolve/strategies/sep_cma_tpa.hpp"
#include "namm/strategy.hpp"

namespace namm {
namespace {

template <class Kind>
std::unique_ptr<Strategy> make(const StrategySettings& settings) {
  return std::make_unique<Kind>(settings);
}

std::deque<StrategyEntry>& entries() {
  static std::deque<StrategyEntry> all = {
      {"cma",
       "CMA-ES, full covariance, active update (arXiv 1604.00772); for long runs of few parameters that depend on each other",
       make<evolve::Cma>},
      {"sep-cma", "CMA-ES, diagonal covariance (Ros and Hansen 2008); linear in the number of parameters", make<evolve::SepCma>},
      {"sep-cma-tpa",
       "sep-cma with mirrored draws and two-point step-size adaptation (Hansen et al. 2014); for noise and many parameters",
       make<evolve::SepCmaTpa>},
      {"cr-fm-nes", "natural evolution strategy, scales and one direction (arXiv 2201.11422)", make<evolve::CrFmNes>},
      {"es", "antithetic evolution strategy with Adam, fixed step size (arXiv 1703.03864); for many parameters and much noise",
       make<evolve::AntitheticEs>},
  };
  return all;
}

}  // namespace

void register_strategy(StrategyEntry entry) {
  add_entry("strategy", entries(), std::move(entry), "auto");
}

const std::deque<StrategyEntry>& strategy_registry() {
  return entries();
}

std::unique_ptr<Strategy> make_strategy(std::string_view name, const StrategySettings& settings) {
  const StrategyEntry& entry = find_entry("strategy", name, entries());
  StrategySettings complete = settings;
  if (complete.population == 0) complete.population = evolve::default_population(complete.dimension);
  return entry.make(complete);
}

}  // namespace namm
