#pragma once
#include <memory>

#include "evolve/fitness.hpp"

namespace namm::evolve {

// One function per file; the registry lists them.
std::unique_ptr<Fitness> make_task_score();
std::unique_ptr<Fitness> make_answer_likelihood();
std::unique_ptr<Fitness> make_fidelity();
std::unique_ptr<Fitness> make_retention();
std::unique_ptr<Fitness> make_semi_live();

}  // namespace namm::evolve
