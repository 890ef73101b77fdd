#pragma once
#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "eval/intervals.hpp"

namespace namm::eval {

/// What a policy got on each prompt of one table (a task at a length), and the full cache on the same prompts.
struct TableValues {
  std::string population;          ///< tables of equal population may hold the same prompt (a task at two lengths)
  std::vector<std::string> units;  ///< per prompt; equal ones are not independent: one needle at two lengths, one book
  std::vector<double> values;
  std::vector<double> base = {};  ///< the full cache's; empty where nothing is compared
};

struct Estimate {
  double value = kNan;
  Interval interval;
  double p_value = kNan;  ///< of no change, two-sided; not for means and ratios
  std::size_t units = 0;  ///< independent prompts behind it (Clusters::units)
};

/// The functions below estimate the mean over tables of each table's mean over prompts. Intervals are Student's t with the
/// variance between units (clusters.hpp): for one table of different prompts, the usual t interval. Unknown (NaN) with fewer than
/// two units in a population, and of values that are all the same.

/// Of any values.
Estimate mean_of(std::span<const TableValues> tables);
/// Of values - base; its p-value is that of the t test.
Estimate change_of(std::span<const TableValues> tables);

/// The same of scores in [0, 1]. In one table of different prompts that are all right or all wrong, the rules for shares hold
/// (shares.hpp); a table in which all came out alike adds what Wilson's interval would, so that no interval is without width.
/// p-values are of random signs per unit (sign_test.hpp), which is the exact McNemar test for shares.
Estimate score_of(std::span<const TableValues> tables);
Estimate score_change_of(std::span<const TableValues> tables);
/// Mean of the values / mean of the base: the sum over all tables by the sum. Interval by Fieller's theorem (1954), unknown where
/// the base cannot be told from 0. NaN if the base is 0.
Estimate score_ratio_of(std::span<const TableValues> tables);

}  // namespace namm::eval
