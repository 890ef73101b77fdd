#include "cli/evolve_plan.hpp"

#include <algorithm>
#include <array>
#include <stdexcept>

#include "cli/again.hpp"
#include "cli/evolve_start.hpp"
#include "cli/run_config.hpp"
#include "kernels/isa.hpp"

namespace namm::cli {
namespace {

// The same for all stages: they share model and folder.
constexpr std::array<std::string_view, 15> kOfProcess = {"model",   "threads",      "workers", "context",  "gpu-layers",
                                                         "device",  "output",       "resume",  "config",   "quiet",
                                                         "verbose", "rank-timeout", "help",    "help-all", "stages"};
constexpr std::size_t kEchoed = 6;   // the first of them belong to the run, the others to the call
constexpr int kShortestSilence = 5;  // seconds; a rank that works says so every two

std::filesystem::path config_of(const po::variables_map& values) {
  std::error_code ignored;
  if (values.contains("resume") && !std::filesystem::is_directory(values["resume"].as<std::string>(), ignored))
    throw std::runtime_error("--resume: must be the folder of a run, " + values["resume"].as<std::string>() +
                             " does not exist or is no folder; check its name, or begin a run with --output");
  if (values.contains("config")) return values["config"].as<std::string>();
  if (!values.contains("resume")) return {};
  const std::filesystem::path echoed = std::filesystem::path(values["resume"].as<std::string>()) / "run.json";
  return std::filesystem::exists(echoed, ignored) ? echoed : std::filesystem::path();
}

/// A stage as it was given, before its words are read.
struct GivenStage {
  po::variables_map values;
  bool continues = false;

  bool has_policy() const { return is_existing_policy(values["policy"].as<std::string>()); }
  bool makes_policy() const { return !continues && !has_policy(); }
};

/// The command line, and a file where there is one, for all stages. Nothing if help was wanted and printed.
struct GivenStages {
  std::vector<GivenStage> stages;
  RunConfig config;
};

std::optional<GivenStages> given_stages(const std::vector<std::string>& arguments, const po::options_description& options) {
  GivenStages out;
  std::optional<RunConfig> config;
  std::size_t number = 0;
  const auto more = [&](po::variables_map& values) {
    if (!config) {
      const std::filesystem::path path = config_of(values);
      config = path.empty() ? RunConfig{{}, nlohmann::json::object(), {nlohmann::json::object()}, false, {}}
                            : load_run_config(path, options, kOfProcess);
      if (config->common.contains("resume"))
        throw std::invalid_argument("config " + path.string() + ": \"resume\" must be given on the command line; remove it");
      if (values.contains("resume")) config->common.erase("output");
    }
    apply_run_config(*config, number, options, values);
  };
  for (; !config || number < config->stages.size(); ++number) {
    auto values = parse(arguments, options, "namm evolve --model FILE | --traces FILE --output DIR [options]",
                        "Evolves a memory policy on a model. Fitness is measured on the model itself, relative to the full "
                        "cache on the same prompts.\n"
                        "Every generation is checkpointed; Ctrl-C keeps what there is, --resume goes on.\n"
                        "On several machines or with several processes: mpirun -n 8 namm evolve ... (docs/evolve.md).",
                        {}, more);
    if (!values) return std::nullopt;
    out.stages.push_back({std::move(*values), number > 0 && !config->stages[number].contains("policy")});
  }
  out.config = std::move(*config);
  return out;
}

/// --features and --probe belong to a new policy. What stands outside the stages may be there for one of them; what stands in a
/// stage is for that stage.
void check_features(const GivenStages& given) {
  const bool used = std::any_of(given.stages.begin(), given.stages.end(), [](const auto& one) { return one.makes_policy(); });
  for (std::size_t number = 0; number < given.stages.size(); ++number) {
    const GivenStage& stage = given.stages[number];
    if (stage.makes_policy()) continue;
    for (const char* const name : {"features", "probe"}) {
      const bool of_stage = given.config.stages[number].contains(name);
      if (!was_given(stage.values, name) || (used && !of_stage)) continue;
      const std::string policy =
          stage.continues ? "the policy of the stage before" : "--policy " + stage.values["policy"].as<std::string>();
      throw std::invalid_argument(std::string("--") + name + ": must be left out with " + policy +
                                  ", which has features of its own, is \"" + stage.values[name].as<std::string>() +
                                  "\"; remove it, or begin with a new policy (linear, namm, namm-mlp)");
    }
  }
}

/// What run.json says of a stage: the values that are in force, without those that have no effect in it.
nlohmann::json in_force(const GivenStage& stage, const po::options_description& options) {
  const po::variables_map& values = stage.values;
  nlohmann::json out = run_config_of(values, options, std::span<const std::string_view>(kOfProcess).subspan(kEchoed));
  if (out.contains("data")) out.erase("tasks");              // one or the other
  if (out.contains("traces")) out["fitness"] = "retention";  // in force, whatever the default
  if (values.contains("probe") && values["features"].defaulted()) out["features"] = "probe";
  if (is_start_file(values["start"].as<std::string>())) out.erase("features");  // they are the file's
  if (stage.has_policy())
    for (const char* name : {"features", "probe"}) out.erase(name);
  if (stage.continues)
    for (const char* name : {"policy", "features", "probe", "start"}) out.erase(name);
  return out;
}

nlohmann::json in_force(const GivenStages& given, const po::options_description& options) {
  nlohmann::json list = nlohmann::json::array();
  for (const GivenStage& stage : given.stages) list.push_back(in_force(stage, options));
  if (!given.config.staged) return list.front();
  nlohmann::json out = nlohmann::json::object();
  for (const std::string_view name : std::span<const std::string_view>(kOfProcess).first(kEchoed)) {
    for (nlohmann::json& stage : list) {
      if (stage.contains(name)) out[std::string(name)] = stage[std::string(name)];
      stage.erase(std::string(name));
    }
  }
  out["stages"] = list;
  return out;
}

void read_call(const po::variables_map& values, EvolvePlan& plan) {
  if (values.contains("output") == values.contains("resume"))
    throw std::invalid_argument("--output: must be given for a new run, or --resume for an old one; exactly one of them");
  plan.resume = values.contains("resume");
  plan.output = values[plan.resume ? "resume" : "output"].as<std::string>();
  plan.quiet = values.contains("quiet");
  plan.verbose = values.contains("verbose");
  const int silence = values["rank-timeout"].as<int>();
  if (silence < kShortestSilence)
    throw std::invalid_argument("--rank-timeout: must be at least " + std::to_string(kShortestSilence) +
                                " seconds (a rank that works says so every two), is " + std::to_string(silence) +
                                "; for example 60");
  plan.rank_timeout = std::chrono::seconds(silence);
}

}  // namespace

std::filesystem::path EvolvePlan::folder(std::size_t number) const {
  return staged ? output / ("stage-" + std::to_string(number + 1)) : output;
}

std::optional<EvolvePlan> plan_evolution(const std::vector<std::string>& arguments) {
  const po::options_description options = evolve_option_list();
  const auto given = given_stages(arguments, options);
  if (!given) return std::nullopt;
  check_features(*given);
  EvolvePlan plan;
  plan.staged = given->config.staged;
  plan.config = in_force(*given, options);
  plan.config[kIsaField] = kernels::isa_name();
  plan.config_isa = given->config.isa;
  read_call(given->stages.front().values, plan);
  constexpr std::string_view kFolder[] = {"output", "resume"};
  plan.others = without(arguments, options, kFolder);
  TraceFiles traces;
  for (const GivenStage& stage : given->stages)
    plan.stages.push_back({evolve_options_from(stage.values, traces), stage.continues});
  return plan;
}

}  // namespace namm::cli
