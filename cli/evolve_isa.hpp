#pragma once
#include "cli/evolve_plan.hpp"

namespace namm::cli {

/// Another instruction set gives other last digits, and with them other candidates. Throws std::runtime_error if a run is resumed
/// that used another one, as far as its run.json says which. A new run from the file of one that did is begun, with a warning.
void check_instruction_set(const EvolvePlan& plan);

}  // namespace namm::cli
