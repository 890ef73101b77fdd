#include <spdlog/spdlog.h>

#include <cstdio>
#include <fstream>
#include <iterator>
#include <optional>
#include <stdexcept>

#include "base/atomic_file.hpp"
#include "cli/again.hpp"
#include "cli/command.hpp"
#include "cli/evolve_display.hpp"
#include "cli/evolve_hosts.hpp"
#include "cli/evolve_isa.hpp"
#include "cli/evolve_live.hpp"
#include "cli/evolve_ranks.hpp"
#include "cli/evolve_session.hpp"
#include "cli/evolve_settings.hpp"
#include "cli/interrupt.hpp"
#include "cli/memory_warnings.hpp"
#include "evolve/fitness.hpp"
#include "evolve/ranks/rank_units.hpp"
#include "evolve/run_work.hpp"
#include "namm/strategy.hpp"

namespace namm::cli {
namespace {

constexpr std::chrono::minutes kStageEndTimeout{10};  // a rank may still be loading its model when a stage turns out to be done

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
  for (const auto& [options, continues] : plan.stages) {
    if (continues && options.start != "zeros")
      throw std::invalid_argument("--start: must be left out of a stage that begins with the policy of the one before, is \"" +
                                  options.start + "\"; give that stage a \"policy\" of its own");
    const evolve::RunSettings settings = settings_from(options);
    evolve::make_fitness(settings.fitness);
    make_strategy(settings.strategy, {2, settings.population, settings.step_size, 1, {}});
    if (ends_live(options)) check_live(options);
  }
}

evolve::RunSettings stage_settings(const EvolvePlan& plan, std::size_t number) {
  EvolveOptions options = plan.stages[number].options;
  if (plan.stages[number].continues) {
    options.policy = (plan.folder(number - 1) / "policy.json").string();
    options.probe.reset();
  }
  evolve::RunSettings settings = settings_from(options);
  settings.sources = sources_of(options);
  settings.output = plan.folder(number);
  settings.resume = plan.staged ? plan.resume && begun(settings.output) : plan.resume;
  return settings;
}

/// Defaults that ask for more prompts than there are.
void say_lowered(const EvolveOptions& options, const evolve::RunSettings& settings) {
  const auto lowered = [](const PromptCount& wanted, std::size_t count) {
    return static_cast<std::size_t>(wanted.number) > count;
  };
  if (!lowered(options.prompts, settings.prompts_per_task) && !lowered(options.validation, settings.validation_prompts)) return;
  spdlog::warn("{}: has fewer prompts than the defaults ask for; --prompts {} and --validation {} are in force",
               options.trace ? options.traces : options.data, settings.prompts_per_task, settings.validation_prompts);
}

/// Which policy is kept is decided on these.
void say_few(const evolve::RunSettings& settings) {
  constexpr std::size_t kFew = 8;
  const std::size_t all = settings.validation_prompts * settings.tasks.size();
  if (settings.generations > 0 && all < kFew)
    spdlog::warn("--validation {}: {} {} which policy is kept, mostly by chance; 16 or more tell policies apart",
                 settings.validation_prompts, all, all == 1 ? "prompt decides" : "prompts decide");
}

void print_outcome(std::size_t number, const evolve::RunSettings& settings, const evolve::RunResult& result,
                   const std::string& goes_on) {
  if (!result.written && number == 0) {
    std::printf("stopped before the start was validated: nothing is written\n");
  } else if (!result.written) {
    std::printf("stopped before the start of stage %zu was validated\n", number + 1);
  } else {
    std::printf("%s after %lld generations%s: validation %+.4f (start %+.4f), kept from generation %lld\n",
                result.stopped ? "stopped" : "done", static_cast<long long>(result.generation), reason(result.end),
                result.validation, result.start_validation, static_cast<long long>(result.best_generation));
    if (result.stopped && result.best_generation == 0)
      std::printf("the start is the policy until a validation finds a better one; the next is after generation %lld\n",
                  static_cast<long long>(evolve::next_validation(settings, result.generation)));
    std::printf("policy: %s\n", (settings.output / "policy.json").c_str());
  }
  if (result.stopped && (result.written || number > 0)) std::printf("%s", goes_on.c_str());
  std::fflush(stdout);
}

/// The stages of a plan, one after the other. At the end `settings_` and `result_` are those of the last one.
class Stages {
 public:
  Stages(const EvolvePlan& plan, evolve::Channel* others) : plan_(plan), others_(others), hosts_(plan) {}

  int run() {
    for (std::size_t number = 0; number < plan_.stages.size(); ++number) {
      if (!done(number) && !run_stage(number)) return 1;
      if (others_ != nullptr && !evolve::RankUnits::dismiss(*others_, kStageEndTimeout, false))
        throw std::runtime_error("ranks: must all answer at the end of a stage, one is silent; go on with --resume");
    }
    if (plan_.staged) copy_last_policy();
    const EvolveOptions& last = plan_.stages.back().options;
    if (!ends_live(last) || evaluate_live(last, settings_, result_.policy, plan_.quiet)) return 0;
    std::printf("%s", goes_on().c_str());
    std::fflush(stdout);
    return 1;
  }

 private:
  /// By a call before this one.
  bool done(std::size_t number) const {
    return plan_.resume && number + 1 < plan_.stages.size() && begun(plan_.folder(number + 1));
  }

  /// False if it was interrupted.
  bool run_stage(std::size_t number) {
    const EvolveOptions& options = plan_.stages[number].options;
    hosts_.prepare(options);
    settings_ = stage_settings(plan_, number);
    settings_.provenance = provenance_of(settings_, hosts_.pool().host().description());
    if (plan_.staged) settings_.provenance["stage"] = number + 1;
    std::optional<evolve::RankUnits> ranks;
    if (others_ != nullptr) {
      const evolve::RankSettings all{.identity = hosts_.identity(settings_), .silence_limit = plan_.rank_timeout};
      ranks.emplace(hosts_.pool(), *others_, settings_.tasks, all, &interrupted());
    }
    if (plan_.staged && !plan_.quiet) std::fprintf(stderr, "stage %zu of %zu\n", number + 1, plan_.stages.size());
    EvolveDisplay display(plan_.quiet, settings_.generations);
    result_ = evolve::run(settings_, hosts_.pool(), callbacks(display, options), &interrupted(), ranks ? &*ranks : nullptr);
    display.clear();
    print_outcome(number, settings_, result_, goes_on());
    return !result_.stopped;
  }

  /// What the display shows; what is in force is written before a stage's first checkpoint and said behind its first record.
  evolve::RunCallbacks callbacks(EvolveDisplay& display, const EvolveOptions& options) {
    evolve::RunCallbacks out = display.callbacks();
    out.beginning = [this] {
      if (!echoed_) write_file_atomically(plan_.output / "run.json", plan_.config.dump(1) + "\n");
      echoed_ = true;
    };
    out.generation = [this, &options, show = out.generation, said = false](const evolve::GenerationRecord& record) mutable {
      show(record);
      if (!said) {
        say_lowered(options, settings_);
        say_few(settings_);
      }
      said = true;
    };
    return out;
  }

  /// The line with the command that goes on, or nothing. Once run.json holds what is in force the folder is enough.
  std::string goes_on() const {
    if (!says_how_to_go_on()) return {};
    const auto given = echoed_ ? std::vector<std::string>() : plan_.others;
    return (others_ == nullptr ? "go on with: " : "go on, under mpirun as before, with: ") +
           again("evolve", given, {"--resume", plan_.output.string()}) + "\n";
  }

  void copy_last_policy() const {
    std::ifstream in(plan_.folder(plan_.stages.size() - 1) / "policy.json", std::ios::binary);
    write_file_atomically(plan_.output / "policy.json", std::string(std::istreambuf_iterator<char>(in), {}));
    std::printf("policy of the last stage: %s\n", (plan_.output / "policy.json").c_str());
    std::fflush(stdout);
  }

  const EvolvePlan& plan_;
  evolve::Channel* others_;
  EvolveHosts hosts_;
  bool echoed_ = false;
  evolve::RunSettings settings_;
  evolve::RunResult result_;
};

}  // namespace

int evolve_here(const EvolvePlan& plan, evolve::Channel* others) {
  check_instruction_set(plan);
  check_stages(plan);
  std::vector<Budget> budgets;
  for (const auto& [options, continues] : plan.stages)
    budgets.insert(budgets.end(), options.budgets.begin(), options.budgets.end());
  warn_of_few_tokens(budgets);
  if (plan.staged && !plan.resume && std::filesystem::exists(plan.output / "policy.json"))
    throw std::runtime_error("output folder '" + plan.output.string() +
                             "': must not hold another run, has a policy.json; `namm evolve --resume " + plan.output.string() +
                             "` goes on with it, or choose another folder");
  return Stages(plan, others).run();
}

int run_evolve(const std::vector<std::string>& arguments) {
  if (launched_by_mpirun()) return evolve_on_ranks(arguments);
  interrupted();
  const auto plan = plan_evolution(arguments);
  if (!plan) return 0;
  set_log_level(plan->quiet, plan->verbose);
  return evolve_here(*plan, nullptr);
}

}  // namespace namm::cli
