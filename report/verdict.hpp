#pragma once
#include <optional>
#include <string>
#include <vector>

#include "report/content.hpp"

namespace namm::report {

/// What a report comes to: the row that frees the most memory and keeps at least 95 % of the full cache's quality, or, if none
/// does, the one that keeps the most. Policies from files are looked at first.
struct Verdict {
  std::string sentence;
  struct Number {
    std::string title, value, beside;  ///< "memory", "−74 %", "23.9 MiB in place of 90.0 MiB"
  };
  std::vector<Number> numbers;  ///< memory, speed, quality; those that are known
  std::string note;             ///< how the row was chosen, and of what it is the mean
  std::string policy, budget;   ///< of the row
};

/// Of the first model that has a policy which drops anything; nothing if there is none.
std::optional<Verdict> verdict_of(const ReportContent& content);

}  // namespace namm::report
