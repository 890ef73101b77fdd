#include "cli/tune/words.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "base/format.hpp"
#include "cli/options.hpp"
#include "cli/tune/split.hpp"
#include "core/policies/key_probe.hpp"
#include "core/policy_file.hpp"

namespace namm::cli {
namespace {

// Kinds of task: those on which is evolved, and others, on which is chosen and reported, at other lengths.
constexpr const char* kEvolveTasks = "passkey,niah-single-3,niah-multivalue,kv-recall,code-retrieval,text";
constexpr const char* kHeldOutTasks = "niah-multikey-1,vt,passage-retrieval,code-completion,multi-turn,text";

std::vector<std::string> with_common(const Tuning& tuning, std::vector<std::string> words, bool model) {
  if (model) {
    words.insert(words.end(), {"--model", tuning.model.string(), "--workers", std::to_string(tuning.workers), "--threads",
                               std::to_string(tuning.threads), "--gpu-layers", std::to_string(tuning.offload.gpu_layers)});
    if (!tuning.offload.devices.empty()) words.insert(words.end(), {"--device", joined(tuning.offload.devices, ",")});
  }
  if (tuning.quiet) words.emplace_back("--quiet");
  return words;
}

std::vector<std::string> eval_words(const Tuning& tuning, const std::string& policies, const std::string& store,
                                    const char* split, int samples, std::uint64_t seed, const std::filesystem::path& results) {
  return with_common(tuning,
                     {"eval",
                      "--policy",
                      policies,
                      "--budget",
                      tuning.budget,
                      "--store",
                      store,
                      "--mode",
                      "pooled",
                      "--tasks",
                      kHeldOutTasks,
                      "--length",
                      tuning.sizes.lengths,
                      "--split",
                      split,
                      "--samples",
                      std::to_string(samples),
                      "--seed",
                      std::to_string(seed),
                      "--json",
                      results.string(),
                      "--resume"},
                     true);
}

}  // namespace

std::vector<std::string> calibrate_words(const Tuning& tuning) {
  std::vector<std::string> words = {"calibrate",
                                    "--output",
                                    tuning.calibrated().string(),
                                    "--budget",
                                    tuning.budget,
                                    "--texts",
                                    std::to_string(tuning.sizes.texts),
                                    "--seed",
                                    std::to_string(tuning.seed)};
  if (!tuning.data.empty()) words.insert(words.end(), {"--data", tuning.data});
  return with_common(tuning, std::move(words), true);
}

std::vector<std::string> split_words(const Tuning& tuning, const std::string& store) {
  std::vector<std::string> policies;
  for (const Way& way : ways_of(store)) policies.push_back(tuning.fitted(way.recency).string());
  return eval_words(tuning, joined(policies, ","), store, "validation", tuning.sizes.split(), tuning.seed, tuning.split(store));
}

std::vector<std::string> evolve_words(const Tuning& tuning, int number, const std::string& budget) {
  const TuneSizes& sizes = tuning.sizes;
  const std::uint64_t seed = tuning.seed * 100 + static_cast<std::uint64_t>(number);
  const std::pair<const char*, std::string> options[] = {
      {"--policy", tuning.plain().string()},
      {"--output", tuning.offsets(number).string()},
      {"--seed", std::to_string(seed)},
      {"--fitness", "semi-live"},
      {"--strategy", "sep-cma-tpa"},
      {"--step-size", "0.3"},
      {"--population", std::to_string(sizes.population)},
      {"--generations", std::to_string(sizes.generations)},
      {"--budget", budget},
      {"--mode", "pooled"},
      {"--tasks", kEvolveTasks},
      {"--length", sizes.evolve_lengths},
      {"--prompts", std::to_string(kTunePrompts)},
      {"--training-pool", std::to_string(std::min(12, kTunePrompts * sizes.generations))},
      {"--validation", std::to_string(std::max(1, sizes.validation / 2))},
      {"--validate-every", "5"}};
  std::vector<std::string> words = {"evolve"};
  for (const auto& [name, value] : options) words.insert(words.end(), {name, value});
  return with_common(tuning, std::move(words), true);
}

std::vector<std::string> average_words(const Tuning& tuning, bool recency) {
  std::vector<std::string> words = {"average"};
  for (int i = 1; i <= tuning.sizes.seeds; ++i) words.push_back((tuning.offsets(i) / kPolicyFileName).string());
  const auto calibrated = load_policy_file(tuning.calibrated() / kPolicyFileName);
  const auto* const probe = dynamic_cast<const KeyProbePolicy*>(calibrated.policy.get());
  if (probe == nullptr) throw std::runtime_error(tuning.calibrated().string() + ": must hold a calibrated policy, does not");
  words.insert(words.end(),
               {"--recency", format_number("%g", recency ? probe->recency() : 0), "--output", tuning.averaged().string()});
  return with_common(tuning, std::move(words), false);
}

std::vector<std::string> validate_words(const Tuning& tuning, const std::string& store, bool recency) {
  return eval_words(tuning, tuning.fitted(recency).string() + "," + tuning.averaged().string(), store, "validation",
                    tuning.sizes.validation, tuning.seed, tuning.validation());
}

std::vector<std::string> test_words(const Tuning& tuning, const std::string& store) {
  std::vector<std::string> words = eval_words(tuning, tuning.chosen().string() + ",h2o-mean,kvzip,random", store, "test",
                                              tuning.sizes.test, tuning.seed + 1, tuning.results());
  words.insert(words.end(), {"--details", tuning.details().string(), "--details-prompts", "1"});
  return words;
}

std::vector<std::string> report_words(const Tuning& tuning, bool evolved) {
  std::vector<std::string> words = {"report", tuning.results().string(), tuning.details().string()};
  for (int i = 1; evolved && i <= tuning.sizes.seeds; ++i) words.push_back(tuning.offsets(i).string());
  words.insert(words.end(), {"--output", tuning.page().string()});
  return with_common(tuning, std::move(words), false);
}

}  // namespace namm::cli
