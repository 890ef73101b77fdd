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
/// `"format": "namm-policy"`, `"version": 1`, or the same in binary form (core/policy_tensors.hpp). Weights survive a round trip
/// through both bit for bit.
struct PolicyFile : CachePolicy {
  nlohmann::json provenance = nlohmann::json::object();  ///< model, tasks, generations, seed, fitness, date, tool version
};

/// Bytes that load_policy_file() reads at most, and numbers that fit into them as JSON (at most 24 bytes each, as
/// save_policy_file() writes them) and in binary form (an eighth is left to the rest): who makes a large policy looks before the
/// work.
inline constexpr std::size_t kLargestPolicyFile = std::size_t{64} << 20;
inline constexpr std::size_t kMostPolicyNumbers = kLargestPolicyFile / 24;
inline constexpr std::size_t kMostBinaryPolicyNumbers = kLargestPolicyFile / sizeof(float) / 8 * 7;

/// Reads both forms, told apart by their content. Throws std::runtime_error (subject, rule, value seen, remedy) on anything
/// wrong: not JSON, truncated, unknown version, unknown fields that matter, wrong number of weights, weights that are not finite.
/// Loading never executes anything. A folder with a policy.json or policy.safetensors stands for that file.
PolicyFile load_policy_file(const std::filesystem::path& file_or_folder);
/// Binary if the name ends in .safetensors, else JSON. Writes a temporary file beside it, syncs, renames: never a half-written
/// file. Throws std::runtime_error (for example a full disk, or what load_policy_file() would not read because of its size).
void save_policy_file(const std::filesystem::path& path, const PolicyFile& file);

/// The evolved policy that comes with the program (experiments/universal).
inline constexpr std::string_view kDefaultPolicyName = "default";

/// True for "default" and the names of the registry, whatever lies in the folder. Letter case, '-' and '_' do not count, and
/// published names are known ("SnapKV", "StreamingLLM").
bool is_policy_name(std::string_view text);

/// The file that `evolve` and `calibrate` write a policy to, in a folder of its own.
inline constexpr const char* kPolicyFileName = "policy.json";
inline constexpr const char* kBinaryPolicyFileName = "policy.safetensors";
/// RUN/policy.json or else RUN/policy.safetensors for the folder RUN that holds one, else the path itself.
std::filesystem::path policy_file_in(const std::filesystem::path& path);

/// What records call a policy that was given like this: our name for it ("snapkv" for "SnapKV"), or the path of its file.
std::string recorded_policy(const std::string& name_or_path);

/// .json or .safetensors
bool has_policy_ending(std::string_view text);
/// Whether the text, which is no policy's name, is meant as a policy file: it ends like one, or is there.
bool names_policy_file(const std::string& text);

/// "default", "h2o" or "some/file.json": the shipped policy, a registry name in any spelling, or a policy file or a folder with
/// one (names_policy_file()).
PolicyFile resolve_policy(const std::string& name_or_path);

}  // namespace namm
