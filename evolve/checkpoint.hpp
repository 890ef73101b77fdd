#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "namm/policy.hpp"

namespace namm::evolve {

/// The setting that holds RunSettings::sources.
inline constexpr const char* kSourcesSetting = "sources";
/// One of them; runs begun before it was recorded go on without.
inline constexpr const char* kModelHashSource = "model_hash";

/// The best policy for one budget.
struct BudgetBest {
  std::shared_ptr<const Policy> policy;
  double validation = 0;  ///< may be -infinity
  std::int64_t generation = 0;
};

/// Everything that the next generation of a run depends on.
struct Checkpoint {
  nlohmann::json settings;                  ///< of the run, see describe_settings(); a resumed run must have the same
  nlohmann::json provenance;                ///< what the caller gave when the run was started
  nlohmann::json strategy;                  ///< Strategy::state()
  std::shared_ptr<const Policy> prototype;  ///< with its normalisation
  std::shared_ptr<const Policy> best;
  double best_validation = 0;  ///< may be -infinity
  double start_validation = 0;
  std::int64_t best_generation = 0;
  std::int64_t generation = 0;
  std::vector<BudgetBest> by_budget;  ///< empty where there is one budget only
  std::int64_t restart = 0;           ///< restarts so far
  double progress_validation = 0;     ///< the best since the last restart, and when; may be -infinity
  std::int64_t progress_generation = 0;
  std::vector<nlohmann::json> history;  ///< lines of the log
};

/// Atomic and synced. Throws std::runtime_error.
void save_checkpoint(const std::filesystem::path& path, const Checkpoint& checkpoint);
/// Throws std::runtime_error in one line if the file is missing, cut, damaged or something else.
Checkpoint load_checkpoint(const std::filesystem::path& path);

/// Throws std::runtime_error naming the first setting that differs, or that only one of them has.
void expect_same_settings(const std::filesystem::path& path, const nlohmann::json& stored, const nlohmann::json& wanted);

}  // namespace namm::evolve
