#pragma once
#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "namm/cache_policy.hpp"

namespace namm {

/// A policy, its settings (defaults, which flags override) and where it comes from, as they are stored and shipped: JSON,
/// `"format": "namm-policy"`, `"version": 1`. Weights survive a round trip bit for bit.
struct PolicyFile : CachePolicy {
  nlohmann::json provenance = nlohmann::json::object();  ///< model, tasks, generations, seed, fitness, date, tool version
};

/// Bytes that load_policy_file() reads at most, and numbers that fit into them (at most 24 bytes each, as save_policy_file()
/// writes them): who makes a large policy looks before the work.
inline constexpr std::size_t kLargestPolicyFile = std::size_t{64} << 20;
inline constexpr std::size_t kMostPolicyNumbers = kLargestPolicyFile / 24;

/// Throws std::runtime_error (subject, rule, value seen, remedy) on anything wrong: not JSON, truncated, unknown version, unknown
/// fields that matter, wrong number of weights, weights that are not finite. Loading never executes anything.
PolicyFile load_policy_file(const std::filesystem::path& path);
/// Writes a temporary file beside it, syncs, renames: never a half-written file. Throws std::runtime_error (for example a full
/// disk).
void save_policy_file(const std::filesystem::path& path, const PolicyFile& file);

/// The evolved policy that comes with the program (experiments/universal).
inline constexpr std::string_view kDefaultPolicyName = "default";

/// True for "default" and the names of the registry, whatever lies in the folder.
bool is_policy_name(std::string_view text);

/// "default", "h2o" or "some/file.json": the shipped policy, a registry name, or a policy file if the text ends in .json or names
/// an existing file.
PolicyFile resolve_policy(const std::string& name_or_path);

}  // namespace namm
