#include "cli/untuned.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cctype>
#include <string_view>

#include "adapters/llama_cpp/model_facts.hpp"
#include "base/folded_name.hpp"
#include "core/policy_file.hpp"

namespace namm::cli {
namespace {

struct EvolvedOn {
  std::string_view file, name;  ///< part of the file's name, whatever its quantisation, and what the header calls the model
};
// The header of SmolLM2-135M-Instruct names a checkpoint; the file's name is what people know.
constexpr EvolvedOn kEvolvedOn[] = {{"SmolLM2-135M-Instruct", "Smollm2 135M 8k Lc100K Mix1 Ep2"},
                                    {"jamba-recall", "jamba-recall"}};

bool evolved_on(const std::filesystem::path& model) {
  const std::string file = folded_name(model.filename().string());
  const auto name = llama::model_facts(model)["name"].get<std::string>();
  return std::any_of(std::begin(kEvolvedOn), std::end(kEvolvedOn), [&](const EvolvedOn& one) {
    return name == one.name || file.find(folded_name(one.file)) != std::string::npos;
  });
}

/// "SmolLM2-135M-Instruct" of "SmolLM2-135M-Instruct.Q4_K_M.gguf".
std::string without_type(std::string name) {
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (name.ends_with(".gguf")) name.resize(name.size() - 5);
  const std::size_t at = name.find_last_of(".-");
  if (at == std::string::npos) return name;
  const std::string_view type = std::string_view(name).substr(at + 1);
  for (const std::string_view known : {"q", "iq", "f16", "f32", "bf16", "fp16", "fp32", "mxfp4"})
    if (type.starts_with(known) && type.find_first_of("0123456789") != std::string_view::npos) return name.substr(0, at);
  return name;
}

bool same_model(const std::string& a, const std::string& b) {
  return without_type(a) == without_type(b);
}

}  // namespace

void warn_if_of_another_model(const std::string& policy, const std::string& model) {
  if (is_policy_name(policy)) return;
  const PolicyFile file = resolve_policy(policy);
  const auto made_for = file.provenance.find("model");
  if (made_for == file.provenance.end() || !made_for->is_string() || same_model(made_for->get<std::string>(), model)) return;
  spdlog::warn("policy {}: was made for {}, is used with {}; compare it with one of this model (`namm calibrate`)", policy,
               made_for->get<std::string>(), model);
}

void warn_if_untuned(const std::filesystem::path& model) {
  if (evolved_on(model)) return;
  spdlog::warn(
      "policy {}: is untuned for this model; `namm calibrate --model {} --output DIR` (about four minutes for a model of 135M "
      "parameters) makes one that usually loses far less",
      kDefaultPolicyName, model.string());
}

}  // namespace namm::cli
