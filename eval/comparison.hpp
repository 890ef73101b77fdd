#pragma once
#include <span>
#include <string>

#include "eval/record.hpp"

namespace namm::eval {

/// The prompts of one table under a policy, and under the full cache.
struct ComparedPrompts {
  std::string population;                 ///< as in TableValues
  const ResultRecord::Prompts* measured;  ///< not null
  const ResultRecord::Prompts* full;      ///< of the same prompts; null: `measured` is the full cache's
};

/// Fills in what a record says of scores and likelihoods over these tables: means, intervals, the comparison with the full cache,
/// and the number of independent prompts. All of it is unknown if the prompts of a table are not.
void compare(std::span<const ComparedPrompts> tables, ResultRecord& record);

}  // namespace namm::eval
