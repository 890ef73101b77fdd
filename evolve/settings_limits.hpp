#pragma once
#include <stdexcept>
#include <string>

#include "evolve/loop.hpp"

namespace namm::evolve {

/// Limits of numbers in RunSettings, for programs whose users know the numbers by other names.
enum class SettingRule {
  prompts_per_task,
  validation_prompts,
  validate_every,
  generations,
  minutes,
  stagnant,
  restarts,
  restarts_need_stagnant,
  restart_population
};

/// One of them is broken. The message is complete, in the library's words.
class BrokenRule : public std::invalid_argument {
 public:
  BrokenRule(SettingRule rule, const std::string& message) : std::invalid_argument(message), rule_(rule) {}
  SettingRule rule() const { return rule_; }

 private:
  SettingRule rule_;
};

/// Throws std::invalid_argument in one line for settings that no run can have, BrokenRule where one of those limits is broken.
void check_settings(const RunSettings& settings);

}  // namespace namm::evolve
