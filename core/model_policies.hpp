#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/policy_file.hpp"

namespace namm {

/// Policies that were made for models of this user, kept so that they are found when the model is used again:
/// FOLDER/KEY/NAME.json or NAME.safetensors, the key that of the model's file (adapters/llama_cpp/model_key.hpp). Two kinds of
/// name: "calibrated", for any budget, and "tuned-B" for the budget B, written as to_string(Budget) has it.
class ModelPolicies {
 public:
  struct Kept {
    std::string key, name;
    std::filesystem::path file;
  };

  /// Those in namm/policies of the user's data folder (XDG_DATA_HOME, else ~/.local/share); none where neither is known.
  ModelPolicies();
  explicit ModelPolicies(std::filesystem::path folder) : folder_(std::move(folder)) {}

  const std::filesystem::path& folder() const { return folder_; }  ///< empty: there is none
  /// By key, then name; files of other names are not looked at.
  std::vector<Kept> all() const;
  std::vector<Kept> of(std::string_view key) const;
  /// For a model under a budget: the one that was tuned for it, else the calibrated one. Without a budget: the tuned one if
  /// there is just one, else the calibrated one.
  std::optional<Kept> best(std::string_view key, const std::optional<Budget>& budget) const;

  /// Writes it, replacing an earlier one of that name, and returns where it lies; in binary form if `ending` says so. Throws
  /// std::runtime_error if that fails or there is no folder, std::invalid_argument if the name is none of the two kinds.
  Kept keep(std::string_view key, std::string_view name, const PolicyFile& policy, std::string_view ending = ".json") const;
  /// Throws std::runtime_error if it cannot be removed.
  void remove(const Kept& kept) const;

 private:
  std::filesystem::path folder_;
};

inline constexpr std::string_view kCalibratedName = "calibrated";
/// "tuned-25%"
std::string tuned_name(const Budget& budget);

}  // namespace namm
