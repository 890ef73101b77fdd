#pragma once
#include <map>
#include <string>
#include <vector>

#include "cli/tune/words.hpp"
#include "eval/record.hpp"

namespace namm::cli {

/// By the name of each table (task and length): a policy's mean change of the answers' log-likelihood per token, nat.
std::map<std::string, double> changes_of(const std::vector<eval::ResultRecord>& records, const std::string& policy);
double mean_of(const std::map<std::string, double>& changes);

/// What the validation says.
struct TuneChoice {
  bool averaged = false;                        ///< else the calibrated policy
  double calibrated_nat = 0, averaged_nat = 0;  ///< mean change of the answers' log-likelihood per token, nat
  std::string why;                              ///< one sentence
};

/// The averaged policy if it loses less in the mean over tasks and lengths than the calibrated one and on none of them more than
/// 0.1 nat per token more. Throws std::runtime_error if the results lack one of the two.
TuneChoice choose(const Tuning& tuning);

}  // namespace namm::cli
