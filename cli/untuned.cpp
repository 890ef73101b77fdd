#include "cli/untuned.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>

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

}  // namespace

void warn_if_untuned(const std::filesystem::path& model) {
  if (evolved_on(model)) return;
  spdlog::warn(
      "policy {}: is untuned for this model; `namm calibrate --model {} --output DIR` (about four minutes for a model of 135M "
      "parameters) makes one that usually loses far less",
      kDefaultPolicyName, model.string());
}

}  // namespace namm::cli
