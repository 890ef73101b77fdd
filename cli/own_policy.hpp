#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "core/policy_file.hpp"

namespace namm::cli {

/// The name for --policy that stands for what was made for the model and is kept on this machine (`namm policies`).
inline constexpr std::string_view kOwnPolicyName = "own";

/// The file of the model's own policy for this budget; none if nothing fits or `model` is no model file that can be read.
std::optional<std::filesystem::path> own_policy(const std::filesystem::path& model, const std::optional<Budget>& budget);

/// As resolve_policy() (core/policy_file.hpp), with "own" for that of `model` under `budget`: throws std::runtime_error that says
/// how to make one if there is none.
PolicyFile resolve_policy_of(const std::string& name_or_path, const std::filesystem::path& model,
                             const std::optional<Budget>& budget);

/// For where no policy was named: "own" if the model has one, which is said in one line, else `otherwise`.
std::string policy_unless_named(const std::filesystem::path& model, const std::optional<Budget>& budget,
                                std::string_view otherwise);

}  // namespace namm::cli
