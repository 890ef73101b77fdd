#include "cli/own_policy.hpp"

#include <spdlog/spdlog.h>

#include <stdexcept>

#include "adapters/llama_cpp/model_key.hpp"
#include "core/model_policies.hpp"

namespace namm::cli {

std::optional<std::filesystem::path> own_policy(const std::filesystem::path& model, const std::optional<Budget>& budget) {
  const ModelPolicies policies;
  std::error_code failed;
  if (!std::filesystem::exists(policies.folder(), failed) || !std::filesystem::is_regular_file(model, failed))
    return std::nullopt;
  std::string key;
  try {
    key = llama::model_key(model);
  } catch (const std::exception&) {  // whoever loads it says what is wrong with it
    return std::nullopt;
  }
  const auto kept = policies.best(key, budget);
  if (!kept) return std::nullopt;
  return kept->file;
}

PolicyFile resolve_policy_of(const std::string& name_or_path, const std::filesystem::path& model,
                             const std::optional<Budget>& budget) {
  if (name_or_path != kOwnPolicyName) return resolve_policy(name_or_path);
  if (const auto own = own_policy(model, budget)) return load_policy_file(*own);
  throw std::runtime_error("policy own: must have been made for the model, there is none for " +
                           (model.empty() ? "a command without a model" : model.string()) +
                           (budget ? " at " + to_string(*budget) : std::string()) +
                           "; namm calibrate --model FILE --output DIR makes one, namm policies lists them");
}

std::string policy_unless_named(const std::filesystem::path& model, const std::optional<Budget>& budget,
                                std::string_view otherwise) {
  const auto own = own_policy(model, budget);
  if (!own) return std::string(otherwise);
  const RowFormats store = load_policy_file(*own).store;
  spdlog::warn("policy: this model's own is used, {}{}; --policy names another", own->string(),
               store == RowFormats() ? std::string() : ", keys and values held as " + to_string(store));
  return std::string(kOwnPolicyName);
}

}  // namespace namm::cli
