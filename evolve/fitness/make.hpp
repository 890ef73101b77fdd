#pragma once
#include <memory>

#include "evolve/fitness.hpp"

namespace namm::evolve {

// One function per file; the registry lists them.
std::unique_ptr<Fitness> make_task_score();
std::unique_ptr<Fitness> make_answer_likelihood();
std::unique_ptr<Fitness> make_fidelity();

}  // namespace namm::evolve
