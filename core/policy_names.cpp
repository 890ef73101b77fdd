#include <algorithm>

#include "base/folded_name.hpp"
#include "core/policy_file.hpp"
#include "core/policy_tensors.hpp"
#include "namm/policy.hpp"

namespace namm {
namespace {

constexpr std::size_t kLongestName = 64;

struct OtherName {
  std::string_view folded, ours;
};
/// What is published under another name than ours, as folded_name() has it.
constexpr OtherName kOtherNames[] = {{"streamingllm", "streaming"}, {"attentionsinks", "streaming"}};

/// Our name of a policy in any spelling; "" if the text is none.
std::string policy_name_of(std::string_view text) {
  if (text.empty() || text.size() > kLongestName) return {};
  for (const PolicyEntry& entry : policy_registry())
    if (entry.name == text) return std::string(text);  // before others of the same letters
  const std::string folded = folded_name(text);
  if (folded == kDefaultPolicyName) return std::string(kDefaultPolicyName);
  for (const PolicyEntry& entry : policy_registry())
    if (folded_name(entry.name) == folded) return std::string(entry.name);
  for (const OtherName& other : kOtherNames)
    if (other.folded == folded) return std::string(other.ours);
  return {};
}

}  // namespace

bool is_policy_name(std::string_view text) {
  return !policy_name_of(text).empty();
}

bool has_policy_ending(std::string_view text) {
  return text.ends_with(".json") || text.ends_with(kBinaryPolicyEnding);
}

bool names_policy_file(const std::string& text) {
  std::error_code ignored;
  return has_policy_ending(text) || std::filesystem::exists(text, ignored);
}

std::filesystem::path policy_file_in(const std::filesystem::path& path) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(path, ignored)) return path;
  for (const char* const name : {kPolicyFileName, kBinaryPolicyFileName})
    if (std::filesystem::exists(path / name, ignored)) return path / name;
  return path;
}

std::string recorded_policy(const std::string& name_or_path) {
  const std::string name = policy_name_of(name_or_path);
  return name.empty() ? policy_file_in(name_or_path).string() : name;
}

}  // namespace namm
