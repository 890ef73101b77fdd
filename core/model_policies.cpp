#include "core/model_policies.hpp"

#include <algorithm>
#include <cstdlib>
#include <stdexcept>
#include <utility>

#include "core/policy_tensors.hpp"

namespace namm {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kTuned = "tuned-";
constexpr std::string_view kEndings[] = {".json", kBinaryPolicyEnding};
constexpr std::size_t kKeyDigits = 16;

bool is_key(std::string_view text) {
  return text.size() == kKeyDigits && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

bool is_kept_name(std::string_view name) {
  if (name == kCalibratedName) return true;
  if (!name.starts_with(kTuned)) return false;
  try {
    return tuned_name(parse_budget(std::string(name.substr(kTuned.size())))) == name;
  } catch (const std::invalid_argument&) {
    return false;
  }
}

bool is_tuned(const ModelPolicies::Kept& kept) {
  return kept.name != kCalibratedName;
}

fs::path user_folder() {
  const auto variable = [](const char* name) {
    const char* const value = std::getenv(name);
    return fs::path(value != nullptr ? value : "");
  };
  // as the XDG base directory specification has it: a relative path counts as none
  if (const fs::path data = variable("XDG_DATA_HOME"); data.is_absolute()) return data / "namm" / "policies";
  if (const fs::path home = variable("HOME"); home.is_absolute()) return home / ".local" / "share" / "namm" / "policies";
  return {};
}

}  // namespace

std::string tuned_name(const Budget& budget) {
  return std::string(kTuned) + to_string(budget);
}

ModelPolicies::ModelPolicies() : folder_(user_folder()) {}

std::vector<ModelPolicies::Kept> ModelPolicies::of(std::string_view key) const {
  std::vector<Kept> out;
  std::error_code failed;  // no such folder, or none that may be read: nothing is kept
  if (folder_.empty() || !is_key(key)) return out;
  for (fs::directory_iterator entry(folder_ / key, failed), end; !failed && entry != end; entry.increment(failed)) {
    const std::string file = entry->path().filename().string();
    for (const std::string_view ending : kEndings)
      if (file.ends_with(ending) && is_kept_name(file.substr(0, file.size() - ending.size())))
        out.push_back({std::string(key), file.substr(0, file.size() - ending.size()), entry->path()});
  }
  const auto written = [&](const Kept& kept) { return fs::last_write_time(kept.file, failed); };
  std::sort(out.begin(), out.end(), [&](const Kept& a, const Kept& b) {
    return a.name != b.name ? a.name < b.name : std::pair(written(b), a.file) < std::pair(written(a), b.file);
  });
  // of two with one name, which a writer that was killed can leave, the newer is all that counts
  out.erase(std::unique(out.begin(), out.end(), [](const Kept& a, const Kept& b) { return a.name == b.name; }), out.end());
  return out;
}

std::vector<ModelPolicies::Kept> ModelPolicies::all() const {
  std::vector<std::string> keys;
  std::error_code failed;
  if (folder_.empty()) return {};
  for (fs::directory_iterator entry(folder_, failed), end; !failed && entry != end; entry.increment(failed))
    keys.push_back(entry->path().filename().string());
  std::sort(keys.begin(), keys.end());
  std::vector<Kept> out;
  for (const std::string& key : keys)
    for (Kept& kept : of(key)) out.push_back(std::move(kept));
  return out;
}

std::optional<ModelPolicies::Kept> ModelPolicies::best(std::string_view key, const std::optional<Budget>& budget) const {
  const std::vector<Kept> kept = of(key);
  const auto named = [&](const std::string& name) -> std::optional<Kept> {
    const auto found = std::find_if(kept.begin(), kept.end(), [&](const Kept& one) { return one.name == name; });
    return found == kept.end() ? std::nullopt : std::optional(*found);
  };
  if (budget)
    if (auto tuned = named(tuned_name(*budget))) return tuned;
  if (!budget && std::count_if(kept.begin(), kept.end(), is_tuned) == 1) return *std::find_if(kept.begin(), kept.end(), is_tuned);
  return named(std::string(kCalibratedName));
}

ModelPolicies::Kept ModelPolicies::keep(std::string_view key, std::string_view name, const PolicyFile& policy,
                                        std::string_view ending) const {
  if (!is_key(key) || !is_kept_name(name))
    throw std::invalid_argument("kept policy: must be called calibrated or tuned-B for a budget B, is called \"" +
                                std::string(name) + "\"; for example tuned-25%");
  if (folder_.empty())
    throw std::runtime_error("kept policies: need XDG_DATA_HOME or HOME to be set to an absolute path, neither is; set one");
  std::error_code failed;
  fs::create_directories(folder_ / key, failed);
  if (failed) throw std::runtime_error("kept policies: " + (folder_ / key).string() + ": cannot be made: " + failed.message());
  const bool binary = ending == kBinaryPolicyEnding;
  const auto file = [&](bool second) { return folder_ / key / (std::string(name).append(kEndings[second ? 1 : 0])); };
  Kept out{std::string(key), std::string(name), file(binary)};
  save_policy_file(out.file, policy);
  fs::remove(file(!binary), failed);  // an earlier one in the other form
  if (failed) throw std::runtime_error(file(!binary).string() + ": cannot be removed: " + failed.message());
  return out;
}

void ModelPolicies::remove(const Kept& kept) const {
  std::error_code failed;
  if (!fs::remove(kept.file, failed))
    throw std::runtime_error(kept.file.string() + ": cannot be removed: " + (failed ? failed.message() : "it is not there"));
  for (const std::string_view ending : kEndings)  // an older one in another form would come to light
    fs::remove(kept.file.parent_path() / std::string(kept.name).append(ending), failed);
  fs::remove(kept.file.parent_path(), failed);  // if it was the model's last
}

}  // namespace namm
