#pragma once
#include "eval/intervals.hpp"

namespace namm::eval {

/// Shares of prompts, and two shares on the same prompts, where each prompt is right or wrong. Nothing here has an interval
/// without width: twenty of twenty right do not make 1 certain.

/// How often the same prompt was right under two policies.
struct PairedCounts {
  double both = 0, only_first = 0, only_second = 0, neither = 0;
  double all() const { return both + only_first + only_second + neither; }
};

/// Wilson's score interval (1927) of `right` of `all`. NaN if `all` is 0.
Interval share_interval(double right, double all);

/// Share of the first minus share of the second: Bonett and Price (2012), a Wald interval with one more of each disagreement.
/// NaN of nothing.
Interval share_change_interval(const PairedCounts& counts);

/// Share of the first divided by share of the second: the score interval of Tang, Tang and Chan (2003) and Nam and Blackwelder
/// (2002). NaN if the second was never right.
Interval share_ratio_interval(const PairedCounts& counts);

}  // namespace namm::eval
