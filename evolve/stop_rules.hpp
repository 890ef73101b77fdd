#pragma once
#include <cstdint>
#include <optional>

namespace namm::evolve {

/// When a run ends before its last generation. All but the time depend on the run alone: stopped and resumed, it ends where it
/// would have.
struct StopRules {
  double minutes = 0;             ///< wall clock of one call of run(); 0 = no limit; looked at between generations
  std::optional<double> at;       ///< a validation at least this good
  std::int64_t stagnant = 0;      ///< generations without a better validation; 0 = no limit
  std::int64_t restarts = 0;      ///< times to begin anew before stagnation ends the run
  double restart_population = 2;  ///< each restart multiplies the population by it (2: IPOP-CMA-ES, Auger and Hansen 2005)
};

/// Why a run ended.
enum class RunEnd { generations, interrupted, minutes, target, stagnation };

}  // namespace namm::evolve
