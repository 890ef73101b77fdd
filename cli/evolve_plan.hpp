#pragma once
#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "cli/evolve_options.hpp"

namespace namm::cli {

/// What a call of `namm evolve` asks for: one run, or several stages in a row.
struct EvolvePlan {
  struct Stage {
    EvolveOptions options;
    bool continues = false;  ///< begins with the policy of the stage before
  };
  std::vector<Stage> stages;
  bool staged = false;  ///< stages in folders of their own, even if there is one only
  bool resume = false;
  std::filesystem::path output;
  nlohmann::json config;   ///< the values that are in force; read as --config it is the same plan, but for the folder
  std::string config_isa;  ///< the instruction set that the file of --config names; empty: none
  std::chrono::seconds rank_timeout{60};
  bool quiet = false, verbose = false;
  std::vector<std::string> others;  ///< arguments of the call, without --output and --resume

  /// Of stage `number` (0 = the first).
  std::filesystem::path folder(std::size_t number) const;
};

/// From the arguments and the file of --config, or the run.json of the folder of --resume. Nothing if help was wanted and
/// printed. Throws std::invalid_argument and std::runtime_error in one line; the options of all stages are checked before
/// anything runs.
std::optional<EvolvePlan> plan_evolution(const std::vector<std::string>& arguments);

}  // namespace namm::cli
