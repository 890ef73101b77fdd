#include "cli/tune_stages.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <stdexcept>
#include <utility>

#include "base/format.hpp"
#include "base/json_fields.hpp"
#include "core/policies/key_probe.hpp"
#include "core/policy_file.hpp"
#include "eval/record_file.hpp"

namespace namm::cli {
namespace {

// Kinds of task: those on which is evolved, and others, on which is chosen and reported, at other lengths.
constexpr const char* kEvolveTasks = "passkey,niah-single-3,niah-multivalue,kv-recall,code-retrieval,text";
constexpr const char* kHeldOutTasks = "niah-multikey-1,vt,passage-retrieval,code-completion,multi-turn,text";
constexpr double kHeldOutTokens = 6 * (700 + 2000);  // one prompt of every task and length
constexpr int kPrompts = 2;
constexpr double kWorstKind = 0.1;  // nat per token

// In tokens read, estimated from the times in docs/calibrate.md (SmolLM2-135M-Instruct, two workers): a text is read, repeated
// and fitted; an evaluation of a semi-live evolution costs about as much as reading its prompts.
constexpr double kTokensPerText = 3500;
constexpr double kTokensPerEvaluation = kPrompts * 780;
constexpr int kValidated = 3, kTested = 6;  // policies with the full cache; kvzip reads twice

double evolution_tokens(const TuneSizes& sizes) {
  return sizes.seeds * sizes.generations * sizes.population * kTokensPerEvaluation;
}

std::vector<std::string> with_common(const Tuning& tuning, std::vector<std::string> words, bool model) {
  if (model) {
    words.insert(words.end(), {"--model", tuning.model.string(), "--workers", std::to_string(tuning.workers), "--threads",
                               std::to_string(tuning.threads)});
  }
  if (tuning.quiet) words.emplace_back("--quiet");
  return words;
}

std::vector<std::string> eval_words(const Tuning& tuning, const std::string& policies, const char* split, int samples,
                                    std::uint64_t seed, const std::filesystem::path& results) {
  return with_common(tuning,
                     {"eval",
                      "--policy",
                      policies,
                      "--budget",
                      tuning.budget,
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

/// Mean over tables of a policy's change, and each table's by its name.
std::map<std::string, double> changes_of(const std::vector<eval::ResultRecord>& records, const std::string& policy) {
  std::map<std::string, double> out;
  for (const eval::ResultRecord& r : records)
    if (r.policy == policy) out[r.task + " at " + std::to_string(r.length_tokens)] = r.answer_log_likelihood_delta;
  return out;
}

double mean_of(const std::map<std::string, double>& changes) {
  double sum = 0;
  for (const auto& [table, change] : changes) sum += change;
  return sum / static_cast<double>(changes.size());
}

}  // namespace

double tokens_of(const TuneSizes& sizes) {
  const int validated = sizes.seeds > 0 ? sizes.validation * kValidated : 0;
  return sizes.texts * kTokensPerText + evolution_tokens(sizes) + (validated + sizes.test * kTested) * kHeldOutTokens;
}

TuneSizes sizes_within(double tokens) {
  TuneSizes out;
  if (tokens_of(out) <= tokens) return out;
  // in this order: fewer prompts, which only widens the intervals; fewer generations; a smaller calibration; no evolution
  out.test = 10, out.validation = 6;
  if (tokens_of(out) <= tokens) return out;
  for (out.generations = 12; out.generations >= 6; out.generations -= 3)
    if (tokens_of(out) <= tokens) return out;
  out.generations = 6, out.texts = 40;
  if (tokens_of(out) <= tokens) return out;
  out.seeds = 0, out.generations = 0, out.validation = 0;
  for (out.texts = 60; out.texts > 20; out.texts -= 10)
    if (tokens_of(out) <= tokens) return out;
  out.test = 4;
  return out;
}

nlohmann::json to_json(const TuneSizes& s) {
  return {{"texts", s.texts}, {"seeds", s.seeds},           {"generations", s.generations},       {"validation", s.validation},
          {"test", s.test},   {"population", s.population}, {"evolve_lengths", s.evolve_lengths}, {"lengths", s.lengths}};
}

TuneSizes sizes_from_json(const nlohmann::json& json) {
  const detail::JsonFields fields(json, "sizes.");
  const auto number = [&](const char* name, int low) { return static_cast<int>(fields.integer(name, low, 100000)); };
  if (fields.integer("seeds", 0, 100) == 1) fields.refuse("seeds", "0 or at least 2", "one run is no mean");
  TuneSizes out;
  out.texts = number("texts", 1);
  out.seeds = number("seeds", 0);
  out.generations = number("generations", 0);
  out.validation = number("validation", 0);
  out.test = number("test", 1);
  out.population = number("population", 2);
  out.evolve_lengths = fields.text("evolve_lengths");
  out.lengths = fields.text("lengths");
  return out;
}

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

std::vector<std::string> evolve_words(const Tuning& tuning, int number) {
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
      {"--budget", tuning.budget},
      {"--mode", "pooled"},
      {"--tasks", kEvolveTasks},
      {"--length", sizes.evolve_lengths},
      {"--prompts", std::to_string(kPrompts)},
      {"--training-pool", std::to_string(std::min(12, kPrompts * sizes.generations))},
      {"--validation", std::to_string(std::max(1, sizes.validation / 2))},
      {"--validate-every", "5"}};
  std::vector<std::string> words = {"evolve"};
  for (const auto& [name, value] : options) words.insert(words.end(), {name, value});
  return with_common(tuning, std::move(words), true);
}

std::vector<std::string> average_words(const Tuning& tuning) {
  std::vector<std::string> words = {"average"};
  for (int i = 1; i <= tuning.sizes.seeds; ++i) words.push_back((tuning.offsets(i) / kPolicyFileName).string());
  const auto calibrated = load_policy_file(tuning.calibrated() / kPolicyFileName);
  const auto* const probe = dynamic_cast<const KeyProbePolicy*>(calibrated.policy.get());
  if (probe == nullptr) throw std::runtime_error(tuning.calibrated().string() + ": must hold a calibrated policy, does not");
  words.insert(words.end(), {"--recency", format_number("%g", probe->recency()), "--output", tuning.averaged().string()});
  return with_common(tuning, std::move(words), false);
}

std::vector<std::string> validate_words(const Tuning& tuning) {
  return eval_words(tuning, (tuning.calibrated() / kPolicyFileName).string() + "," + tuning.averaged().string(), "validation",
                    tuning.sizes.validation, tuning.seed, tuning.validation());
}

std::vector<std::string> test_words(const Tuning& tuning) {
  std::vector<std::string> words = eval_words(tuning, tuning.chosen().string() + ",h2o-mean,kvzip,random", "test",
                                              tuning.sizes.test, tuning.seed + 1, tuning.results());
  words.insert(words.end(), {"--details", tuning.details().string(), "--details-prompts", "1"});
  return words;
}

std::vector<std::string> report_words(const Tuning& tuning) {
  std::vector<std::string> words = {"report", tuning.results().string(), tuning.details().string()};
  for (int i = 1; i <= tuning.sizes.seeds; ++i) words.push_back(tuning.offsets(i).string());
  words.insert(words.end(), {"--output", tuning.page().string()});
  return with_common(tuning, std::move(words), false);
}

TuneChoice choose(const Tuning& tuning) {
  TuneChoice out;
  if (tuning.sizes.seeds == 0) {
    out.why = "nothing was evolved: there was no time for it";
    return out;
  }
  const auto records = eval::load_results(tuning.validation());
  const auto calibrated = changes_of(records, (tuning.calibrated() / kPolicyFileName).string());
  const auto averaged = changes_of(records, tuning.averaged().string());
  if (calibrated.empty() || calibrated.size() != averaged.size())
    throw std::runtime_error(tuning.validation().string() +
                             ": must have results of both policies, has not; delete it and resume");
  out.calibrated_nat = mean_of(calibrated);
  out.averaged_nat = mean_of(averaged);
  double worst = 0;
  std::string where;
  for (const auto& [table, change] : averaged)
    if (const double lost = calibrated.at(table) - change; lost > worst) worst = lost, where = table;
  const auto nat = [](double value) { return format_number("%+.3f", value) + " nat per answer token"; };
  const std::string both =
      "evolved on top " + nat(out.averaged_nat) + ", calibrated " + nat(out.calibrated_nat) + " on validation";
  out.averaged = out.averaged_nat > out.calibrated_nat && worst <= kWorstKind;
  out.why = both;
  if (!out.averaged && out.averaged_nat > out.calibrated_nat)
    out.why += "; but on " + where + " it loses " + format_number("%.2f", worst) + " more";
  return out;
}

}  // namespace namm::cli
