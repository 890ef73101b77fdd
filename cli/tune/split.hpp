#pragma once
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "cli/tune/words.hpp"
#include "namm/selection.hpp"

namespace namm::cli {

bool is_of_bytes(const Budget& budget);
/// The ways to hold keys and values that are compared, most bits first: under a budget in bytes fewer bits beside fewer tokens,
/// under one in tokens means of evicted ones beside none. Only those that the budget can hold.
std::vector<std::string> compared_stores(const Budget& budget);
/// Why the budget cannot be met so: it must hold the protected tokens and the means. Empty: it can.
std::string why_not_held(const Budget& budget, const std::string& store);

/// Such a way, and whether beside it the age of tokens counts: what recency is there for, heads that attend evenly, means do, too
/// (experiments/left_behind).
struct Way {
  std::string store;
  bool recency = true;
  std::string name() const;
};
std::vector<Way> ways_of(const std::string& store);
/// How often every prompt of the comparison is read.
int compared_passes(const Budget& budget);

/// How a tuning divides its bytes between more tokens and more bits.
struct Split {
  std::string store = "f16";
  bool recency = true;     ///< else the calibrated policy goes without
  std::string budget;      ///< of as many entries in f16: what to evolve under
  bool holds_all = false;  ///< the whole text fits: nothing is dropped, and nothing is left to evolve
  /// By Way::name(): mean change of the calibrated policy on validation, nat per token; null: nothing was compared.
  nlohmann::json nat_of;
};

/// What `store` makes of the tuning's budget, for its model; with recency.
Split split_of(const Tuning& tuning, const std::string& store);
/// Of the compared ways the one at which the calibrated policy loses least (mean over tasks and lengths; of equal ones that of
/// most bits). Throws std::runtime_error if results are missing.
Split choose_split(const Tuning& tuning);
/// In the tuning's folder, where it is more than "f16". recorded_split() settles it anew where the file is gone, and throws
/// std::runtime_error if the file is damaged.
void save_split(const Tuning& tuning, const Split& split);
Split recorded_split(const Tuning& tuning);

}  // namespace namm::cli
