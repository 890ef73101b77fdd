#pragma once
#include <string>
#include <vector>

#include "cli/evolve_plan.hpp"
#include "evolve/ranks/channel.hpp"

namespace namm::cli {

/// The plan, in this process alone or with the other ranks of `others`. Prints the outcome; returns the exit code.
int evolve_here(const EvolvePlan& plan, evolve::Channel* others);

}  // namespace namm::cli
