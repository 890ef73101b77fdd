#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "eval/record.hpp"

namespace namm::eval {

/// The records of an evaluation that was stopped: what need not be measured again.
class EarlierResults {
 public:
  EarlierResults() = default;
  /// Reads `path`, whose last line may be cut off; a file that is missing or empty holds nothing. Throws std::runtime_error in
  /// one line if it is damaged, or if a record comes from another evaluation than `common` (model, seed, samples and settings).
  EarlierResults(const std::filesystem::path& path, const ResultRecord& common);

  /// The record of the same policy, task, length, budget, mode and interval as `wanted`, or null. Throws std::runtime_error if it
  /// was measured with another policy of that name.
  const ResultRecord* find(const ResultRecord& wanted) const;

  /// Version and commit of a program that wrote one of the records and is not the one of `common`; "" if there is none.
  std::string other_program(const ResultRecord& common) const;

 private:
  std::string name_;
  std::vector<ResultRecord> records_;
};

}  // namespace namm::eval
