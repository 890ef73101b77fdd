#include "cli/evolve_plan.hpp"

#include <algorithm>
#include <array>
#include <stdexcept>

#include "cli/evolve_settings.hpp"
#include "cli/evolve_start.hpp"
#include "cli/run_config.hpp"

namespace namm::cli {
namespace {

// The same for all stages: they share model and folder.
constexpr std::array<std::string_view, 12> kOfProcess = {"model",  "threads", "workers", "context",      "output", "resume",
                                                         "config", "quiet",   "verbose", "rank-timeout", "help",   "stages"};
constexpr std::size_t kEchoed = 4;  // the first of them belong to the run, the others to the call

std::filesystem::path config_of(const po::variables_map& values) {
  if (values.contains("config")) return values["config"].as<std::string>();
  if (!values.contains("resume")) return {};
  const std::filesystem::path echoed = std::filesystem::path(values["resume"].as<std::string>()) / "run.json";
  std::error_code ignored;
  return std::filesystem::exists(echoed, ignored) ? echoed : std::filesystem::path();
}

bool makes_policy(const EvolvePlan::Stage& stage) {
  return !stage.continues && !begins_with_policy(stage.values);
}

/// --features and --probe belong to a new policy. What stands outside the stages may be there for one of them; what stands in a
/// stage is for that stage.
void check_features(const EvolvePlan& plan, const RunConfig& config) {
  const bool used = std::any_of(plan.stages.begin(), plan.stages.end(), makes_policy);
  for (std::size_t number = 0; number < plan.stages.size(); ++number) {
    const EvolvePlan::Stage& stage = plan.stages[number];
    if (makes_policy(stage)) continue;
    for (const char* const name : {"features", "probe"}) {
      const bool of_stage = config.stages[number].contains(name);
      if (!was_given(stage.values, name) || (used && !of_stage)) continue;
      const std::string policy =
          stage.continues ? "the policy of the stage before" : "--policy " + stage.values["policy"].as<std::string>();
      throw std::invalid_argument(std::string("--") + name + ": must be left out with " + policy +
                                  ", which has features of its own, is \"" + stage.values[name].as<std::string>() +
                                  "\"; remove it, or begin with a new policy (linear, namm, namm-mlp)");
    }
  }
}

}  // namespace

std::filesystem::path EvolvePlan::folder(std::size_t number) const {
  return staged ? output / ("stage-" + std::to_string(number + 1)) : output;
}

nlohmann::json EvolvePlan::config() const {
  const po::options_description options = evolve_options();
  const std::span<const std::string_view> of_process(kOfProcess);
  nlohmann::json list = nlohmann::json::array();
  for (const Stage& stage : stages) {
    nlohmann::json one = run_config_of(stage.values, options, of_process.subspan(kEchoed));
    if (one.contains("data")) one.erase("tasks");              // one or the other
    if (one.contains("traces")) one["fitness"] = "retention";  // in force, whatever the default
    if (stage.values.contains("probe") && stage.values["features"].defaulted()) one["features"] = "probe";
    if (begins_with_file(stage.values)) one.erase("features");  // they are the file's
    if (begins_with_policy(stage.values))
      for (const char* name : {"features", "probe"}) one.erase(name);
    if (stage.continues)
      for (const char* name : {"policy", "features", "probe", "start"}) one.erase(name);
    list.push_back(std::move(one));
  }
  if (!staged) return list.front();
  nlohmann::json out = nlohmann::json::object();
  for (const std::string_view name : of_process.first(kEchoed)) {
    for (nlohmann::json& stage : list) {
      if (stage.contains(name)) out[std::string(name)] = stage[std::string(name)];
      stage.erase(std::string(name));
    }
  }
  out["stages"] = list;
  return out;
}

std::optional<EvolvePlan> plan_evolution(const std::vector<std::string>& arguments) {
  const po::options_description options = evolve_options();
  EvolvePlan plan;
  std::optional<RunConfig> config;
  std::size_t number = 0;
  const auto more = [&](po::variables_map& values) {
    if (!config) {
      const std::filesystem::path path = config_of(values);
      config = path.empty() ? RunConfig{{}, nlohmann::json::object(), {nlohmann::json::object()}}
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
    plan.stages.push_back({std::move(*values), number > 0 && !config->stages[number].contains("policy")});
  }
  plan.staged = config->staged;
  check_features(plan, *config);
  const po::variables_map& first = plan.stages.front().values;
  if (first.contains("output") == first.contains("resume"))
    throw std::invalid_argument("--output: must be given for a new run, or --resume for an old one; exactly one of them");
  plan.resume = first.contains("resume");
  plan.output = first[plan.resume ? "resume" : "output"].as<std::string>();
  return plan;
}

}  // namespace namm::cli
