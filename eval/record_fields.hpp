#pragma once
#include <span>

#include "eval/record.hpp"

namespace namm::eval {

struct Measurement;

/// A number of a result record: what it is called in files, where it is held, and of which value of a measurement it is the mean
/// over prompts. Files, summaries and means over tables go through record_numbers(): a new number is a member and a line there.
struct RecordNumber {
  const char* name;
  double ResultRecord::*field;
  double (*of)(const Measurement&) = nullptr;  ///< null: computed otherwise
  bool of_runtime = false;                     ///< of a cache that the runtime holds (attachment callback)
};
std::span<const RecordNumber> record_numbers();

/// A 95 % interval of a record and the number that it is around.
struct RecordInterval {
  const char* name;
  double (ResultRecord::*field)[2];
  double ResultRecord::*around;
};
std::span<const RecordInterval> record_intervals();

}  // namespace namm::eval
