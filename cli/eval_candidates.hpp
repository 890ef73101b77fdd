#pragma once
#include <string>
#include <vector>

#include "cli/options.hpp"

namespace namm::cli {

/// One row of an evaluation: a policy under a budget, in one mode.
struct Candidate {
  std::string name;  ///< as it was given: a policy's name or its file
  CachePolicy memory;
};

/// --policy x --mode x --budget; policies that keep everything are left out (`full` is always measured, once). Throws
/// std::invalid_argument if one of the others is named twice.
std::vector<Candidate> candidates_from(const po::variables_map& values);

}  // namespace namm::cli
