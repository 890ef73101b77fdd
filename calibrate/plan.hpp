#pragma once
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <vector>

#include <nlohmann/json.hpp>

#include "calibrate/probe_fit.hpp"
#include "calibrate/targets.hpp"

namespace namm::calibrate {

/// What is recorded and fitted. Together with the model it decides the result; workers do not.
struct Settings {
  Target target = Target::reconstruction;
  ProbeSettings probe;
  std::vector<Source> sources;       ///< recorded in this order
  std::vector<std::size_t> lengths;  ///< tokens of each source's context, take turns; 0 = all of it
  bool chat_template = true;
  std::uint64_t seed = 1;               ///< of what is planted
  std::filesystem::path state;          ///< file for what is recorded so far; removed by who writes the policy
  std::chrono::seconds save_every{30};  ///< at least between two of its states; the sums of a model can be some gigabytes
  bool resume = false;                  ///< go on from `state`
  nlohmann::json identity;              ///< what a resumed run must agree on (model, flags); compared as a whole
};

/// Source number `index` as it is recorded.
Passage passage_of(const Host& host, const Settings& settings, std::size_t index);

/// What will be evaluated, for the size of the context and the estimate that is printed before the work.
struct Plan {
  std::int64_t tokens = 0;          ///< of all sources together
  std::size_t longest_context = 0;  ///< tokens whose keys are recorded
  std::size_t longest = 0;          ///< tokens, with what follows the context
};
Plan plan(const Host& host, const Settings& settings);

/// Shortens `lengths` until the longest passage, with what follows its context, is within what the model was trained for.
Plan plan_within_training(const Host& host, Settings& settings);

}  // namespace namm::calibrate
