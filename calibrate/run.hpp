#pragma once
#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <vector>

#include <nlohmann/json.hpp>

#include "calibrate/probe_fit.hpp"
#include "calibrate/targets.hpp"
#include "host/host_pool.hpp"

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

struct Outcome {
  ProbeFit::Result fit;
  std::size_t recordings = 0;
  bool stopped = false;  ///< `state` holds what was recorded
};

/// What will be evaluated, for the size of the context and the estimate that is printed before the work.
struct Plan {
  std::int64_t tokens = 0;          ///< of all sources together
  std::size_t longest_context = 0;  ///< tokens whose keys are recorded
  std::size_t longest = 0;          ///< tokens, with what follows the context
};
Plan plan(const Host& host, const Settings& settings);

/// Shortens `lengths` until the longest passage, with what follows its context, is within what the model was trained for.
Plan plan_within_training(const Host& host, Settings& settings);

/// Records every source and fits; `progress` is first called with what was recorded before. Saves the sums every `save_every` and
/// whenever it ends, be it by an exception. When `stop` becomes true, what is recorded is fitted if that is anything. Throws
/// std::runtime_error if `state` is damaged or of another run, or cannot be written; exceptions of hosts reach the caller.
Outcome run(const Settings& settings, HostPool& pool, const Progress& progress = {}, const std::atomic<bool>* stop = nullptr);

}  // namespace namm::calibrate
