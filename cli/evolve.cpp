#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <optional>
#include <stdexcept>

#include "base/atomic_file.hpp"
#include "base/version.hpp"
#include "cli/command.hpp"
#include "cli/evolve_display.hpp"
#include "cli/evolve_ranks.hpp"
#include "cli/evolve_session.hpp"
#include "cli/evolve_traces.hpp"
#include "cli/interrupt.hpp"
#include "evolve/fitness.hpp"
#include "evolve/ranks/rank_units.hpp"
#include "evolve/settings_record.hpp"
#include "namm/strategy.hpp"

namespace namm::cli {
namespace {

constexpr std::chrono::minutes kStageEnd{10};  // a rank may still be loading its model when a stage turns out to be done
constexpr int kShortestSilence = 5;            // seconds; a rank that works says so every two

const char* reason(evolve::RunEnd end) {
  switch (end) {
    case evolve::RunEnd::minutes:
      return " (time is up)";
    case evolve::RunEnd::target:
      return " (target reached)";
    case evolve::RunEnd::stagnation:
      return " (no better validation)";
    default:
      return "";
  }
}

bool begun(const std::filesystem::path& folder) {
  std::error_code ignored;
  return std::filesystem::exists(folder / "checkpoint.json", ignored);
}

/// What is wrong with a later stage, or with what is done at the end, is found before the first one has run for hours.
void check_stages(const EvolvePlan& plan) {
  const int silence = plan.stages.front().values["rank-timeout"].as<int>();
  if (silence < kShortestSilence)
    throw std::invalid_argument("--rank-timeout: must be at least " + std::to_string(kShortestSilence) +
                                " seconds (a rank that works says so every two), is " + std::to_string(silence) +
                                "; for example 60");
  for (const auto& stage : plan.stages) {
    if (stage.continues && stage.values["start"].as<std::string>() != "zeros")
      throw std::invalid_argument("--start: must be left out of a stage that begins with the policy of the one before, is \"" +
                                  stage.values["start"].as<std::string>() + "\"; give that stage a \"policy\" of its own");
    const evolve::RunSettings settings = settings_from(stage.values);
    evolve::make_fitness(settings.fitness);
    make_strategy(settings.strategy, {2, settings.population, settings.step_size, 1, {}});
    evolve::check_settings(settings);
    if (!settings.traces.empty() && stage.values.contains("model")) check_live(stage.values);
  }
}

evolve::RunSettings stage_settings(const EvolvePlan& plan, std::size_t number) {
  po::variables_map values = plan.stages[number].values;
  if (plan.stages[number].continues) {
    values.erase("probe");
    const std::string policy = plan.folder(number - 1) / "policy.json";
    static_cast<std::map<std::string, po::variable_value>&>(values)["policy"] = po::variable_value(boost::any(policy), false);
  }
  evolve::RunSettings settings = settings_from(values);
  settings.sources = sources_of(values);
  settings.output = plan.folder(number);
  settings.resume = plan.staged ? plan.resume && begun(settings.output) : plan.resume;
  return settings;
}

/// Defaults that ask for more prompts than there are.
void say_lowered(const po::variables_map& values, const evolve::RunSettings& settings) {
  const auto lowered = [&](const char* option, std::size_t count) {
    return static_cast<std::size_t>(values[option].as<int>()) > count;
  };
  if (!lowered("prompts", settings.prompts_per_task) && !lowered("validation", settings.validation_prompts)) return;
  spdlog::warn("{}: has fewer prompts than the defaults ask for; --prompts {} and --validation {} are in force",
               values[values.contains("traces") ? "traces" : "data"].as<std::string>(), settings.prompts_per_task,
               settings.validation_prompts);
}

void print_outcome(const EvolvePlan& plan, std::size_t number, const evolve::RunSettings& settings,
                   const evolve::RunResult& result) {
  if (!result.written) {
    if (number == 0)
      std::printf("stopped before the start was validated: nothing is written\n");
    else
      std::printf(
          "stopped before the start of stage %zu was validated: resume with the same options and --resume %s in place of "
          "--output\n",
          number + 1, plan.output.c_str());
    std::fflush(stdout);
    return;
  }
  std::printf("%s after %lld generations%s: validation %+.4f (start %+.4f), kept from generation %lld\n",
              result.stopped ? "stopped" : "done", static_cast<long long>(result.generation), reason(result.end),
              result.validation, result.start_validation, static_cast<long long>(result.best_generation));
  std::printf("policy: %s\n", (settings.output / "policy.json").c_str());
  if (result.stopped) std::printf("resume with the same options and --resume %s in place of --output\n", plan.output.c_str());
  std::fflush(stdout);
}

}  // namespace

EvolveHosts::EvolveHosts(const EvolvePlan& plan) {
  for (const EvolvePlan::Stage& stage : plan.stages) {
    evolve::RunSettings settings = measuring_settings_from(stage.values);
    if (settings.traces.empty())
      tasks_.push_back({std::move(settings.tasks), std::move(settings.lengths_tokens), settings.protocol});
  }
}

void EvolveHosts::prepare(const EvolvePlan::Stage& stage) {
  const auto trace = trace_from(stage.values);
  const std::string source = stage.values[trace ? "traces" : "model"].as<std::string>();
  if (pool_ && source == source_) return;
  const ModelOptions options = model_from(stage.values);
  pool_.reset();  // before the next model is loaded
  if (trace) {
    pool_.emplace(trace_factory(trace), options.workers);
  } else {
    const auto model = llama::LlamaModel::load(options.model);
    int context_tokens = 0;
    for (const TaskOptions& tasks : tasks_) context_tokens = std::max(context_tokens, context_for(model, tasks));
    pool_.emplace(host_factory(model, options, context_tokens), options.workers);
  }
  source_ = source;
}

std::string EvolveHosts::identity(const evolve::RunSettings& settings) const {
  nlohmann::json tasks = nlohmann::json::array();
  for (const auto& task : settings.tasks) tasks.push_back(task->name());
  nlohmann::json all = {{"version", std::string(version()).append(" ").append(commit())},
                        {"model", pool_->host().description().model},
                        {"model_bytes", std::filesystem::file_size(source_)},
                        {"tasks", tasks},
                        {"lengths_tokens", settings.lengths_tokens},
                        {"fitness", settings.fitness},
                        {"traces", settings.traces},
                        {"chat_template", settings.protocol.chat_template},
                        {"question_after", settings.protocol.question_after}};
  all.update(settings.sources);
  return all.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

int evolve_here(const EvolvePlan& plan, evolve::Channel* others) {
  check_stages(plan);
  EvolveHosts hosts(plan);
  const po::variables_map& call = plan.stages.front().values;
  bool echoed = false;
  if (plan.staged && !plan.resume && std::filesystem::exists(plan.output / "policy.json"))
    throw std::runtime_error("output folder '" + plan.output.string() +
                             "': must not hold another run, has a policy.json; choose another folder");
  evolve::RunSettings settings;  // of the stage under way, and its result; at the end, of the last one
  evolve::RunResult result;
  for (std::size_t number = 0; number < plan.stages.size(); ++number) {
    const bool done = plan.resume && number + 1 < plan.stages.size() && begun(plan.folder(number + 1));
    if (!done) {
      const po::variables_map& stage = plan.stages[number].values;
      hosts.prepare(plan.stages[number]);
      settings = stage_settings(plan, number);
      settings.provenance = provenance_of(settings, hosts.pool().host().description());
      if (plan.staged) settings.provenance["stage"] = number + 1;
      std::optional<evolve::RankUnits> ranks;
      if (others != nullptr) {
        evolve::RankSettings all;
        all.identity = hosts.identity(settings);
        all.silence_limit = std::chrono::seconds(call["rank-timeout"].as<int>());
        ranks.emplace(hosts.pool(), *others, settings.tasks, all, &interrupted());
      }
      if (plan.staged && !call.contains("quiet")) std::fprintf(stderr, "stage %zu of %zu\n", number + 1, plan.stages.size());
      bool said = false;
      EvolveDisplay display(call.contains("quiet"), settings.generations);
      evolve::RunCallbacks callbacks = display.callbacks();
      callbacks.generation = [&, show = callbacks.generation](const evolve::GenerationRecord& record) {
        if (!echoed) write_file_atomically(plan.output / "run.json", plan.config().dump(1) + "\n");
        echoed = true;
        show(record);
        if (!said) say_lowered(stage, settings);
        said = true;
      };
      result = evolve::run(settings, hosts.pool(), callbacks, &interrupted(), ranks ? &*ranks : nullptr);
      display.clear();
      print_outcome(plan, number, settings, result);
      if (result.stopped) return 1;
    }
    if (others != nullptr && !evolve::RankUnits::dismiss(*others, kStageEnd, false))
      throw std::runtime_error("ranks: must all answer at the end of a stage, one is silent; go on with --resume");
  }
  if (plan.staged) {
    std::ifstream in(plan.folder(plan.stages.size() - 1) / "policy.json", std::ios::binary);
    write_file_atomically(plan.output / "policy.json", std::string(std::istreambuf_iterator<char>(in), {}));
    std::printf("policy of the last stage: %s\n", (plan.output / "policy.json").c_str());
    std::fflush(stdout);
  }
  const po::variables_map& last = plan.stages.back().values;
  if (settings.traces.empty() || !last.contains("model")) return 0;
  const TaskOptions live = tasks_from(last, tasks::FileSplits::disjoint);
  return evaluate_live(model_from(last), live, settings, result.policy, call.contains("quiet")) ? 0 : 1;
}

int run_evolve(const std::vector<std::string>& arguments) {
  if (launched_by_mpirun()) return evolve_on_ranks(arguments);
  const auto plan = plan_evolution(arguments);
  if (!plan) return 0;
  apply_general(plan->stages.front().values);
  interrupted();
  return evolve_here(*plan, nullptr);
}

}  // namespace namm::cli
