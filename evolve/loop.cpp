#include "evolve/loop.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <stdexcept>
#include <string>

#include "core/policies/network_policy.hpp"
#include "evolve/best_policies.hpp"
#include "evolve/candidates.hpp"
#include "evolve/checkpoint.hpp"
#include "evolve/generation_record.hpp"
#include "evolve/noise.hpp"
#include "evolve/normalisation.hpp"
#include "evolve/prompt_plan.hpp"
#include "evolve/relative_measure.hpp"
#include "evolve/run_folder.hpp"
#include "evolve/run_work.hpp"
#include "evolve/settings_limits.hpp"
#include "evolve/settings_record.hpp"
#include "namm/strategy.hpp"

namespace namm::evolve {
namespace {

using PolicyPointer = std::shared_ptr<const Policy>;
using Clock = std::chrono::steady_clock;

PromptPlan plan_of(const RunSettings& s) {
  return {s.tasks.size(), s.lengths_tokens, s.budgets.size(), s.prompts_per_task, s.training_pool, s.validation_prompts, s.seed};
}

CachePolicy base_memory(const RunSettings& s) {
  CachePolicy memory;
  memory.spectrogram = s.spectrogram;
  memory.selection = s.selection;
  memory.interval_tokens = s.interval_tokens;
  return memory;
}

class Run {
 public:
  Run(const RunSettings& settings, HostPool& pool, UnitPool& units, const RunCallbacks& callbacks, const std::atomic<bool>* stop)
      : settings_(settings),
        pool_(pool),
        callbacks_(callbacks),
        stop_(stop),
        plan_(plan_of(settings)),
        strategy_(start_strategy(settings, *settings.prototype)),
        fitness_(make_fitness(settings.fitness)),
        units_(units),
        training_(units, *fitness_, settings.protocol, base_memory(settings), settings.budgets, settings.training_pool > 0),
        validation_(units, *fitness_, settings.protocol, base_memory(settings), settings.budgets, true),
        folder_(settings.output, settings.resume),
        work_(settings, strategy_->population(), -1) {
    fitness_->remember_at_most(settings.prompt_memory_bytes);
    state_.settings = describe_settings(settings, strategy_->population(), pool.host().description());
  }

  RunResult execute() {
    const bool ready = settings_.resume ? continue_from_checkpoint() : begin();
    bool going = ready;
    std::optional<RunEnd> end;
    while (going && !(end = ended())) going = generation();
    if (going) going = finish();
    if (ready) save_policies(folder_, state_, settings_);
    return {state_.best ? state_.best : settings_.prototype,
            state_.best_validation,
            state_.start_validation,
            state_.generation,
            state_.best_generation,
            !going,
            ready,
            going ? *end : RunEnd::interrupted};
  }

 private:
  /// Normalisation and validation of the start. False if stopped.
  bool begin() {
    state_.provenance = storable(settings_.provenance);
    if (!normalise()) return false;
    if (settings_.fit_start) {
      state_.prototype = settings_.fit_start(*state_.prototype);
      strategy_ = start_strategy(settings_, *state_.prototype);
    }
    state_.best = state_.prototype;
    const auto began = Clock::now();
    const PolicyPointer start[] = {state_.prototype};
    const auto value = validate(start);
    if (!value) return false;
    state_.start_validation = state_.best_validation = std::isnan(value->front()) ? -INFINITY : value->front();
    state_.progress_validation = state_.start_validation;
    if (settings_.budgets.size() > 1) {
      for (const double one : validated_by_budget_.front())
        state_.by_budget.push_back({state_.prototype, std::isnan(one) ? -INFINITY : one, 0});
    }
    GenerationRecord record;
    record.best = record.mean = record.spread = record.noise = record.signal_to_noise = NAN;
    record.step_size = strategy_->step_size();
    record.validation_mean = value->front();
    record.seconds = std::chrono::duration<double>(Clock::now() - began).count();
    commit(record);
    begun_ = true;
    return true;
  }

  bool normalise() {
    std::unique_ptr<Policy> prototype = settings_.prototype->clone();
    auto* network = dynamic_cast<NetworkPolicy*>(prototype.get());
    if (settings_.gather_normalisation && network != nullptr && !network->features().normalised.empty()) {
      const auto prompts = make_prompts(pool_, settings_.tasks, plan_.minibatch(0), settings_.seed, settings_.protocol, stop_);
      if (!prompts) return false;
      auto normalisation =
          gather_normalisation(pool_, network->features(), *prompts, settings_.spectrogram, settings_.interval_tokens,
                               settings_.protocol, network->reader(), stop_, progress("normalisation"));
      if (!normalisation) return false;
      network->set_normalisation(std::move(*normalisation));
    }
    state_.prototype = std::move(prototype);
    return true;
  }

  bool continue_from_checkpoint() {
    Checkpoint loaded = load_checkpoint(folder_.checkpoint());
    expect_same_settings(folder_.checkpoint(), loaded.settings, state_.settings);
    const std::string subject = "checkpoint '" + folder_.checkpoint().string() + "': ";
    if (loaded.restart > settings_.stop.restarts)
      throw std::runtime_error(subject + "field 'restart' must be at most the run's restarts (" +
                               std::to_string(settings_.stop.restarts) + "), is " + std::to_string(loaded.restart) +
                               "; the file is damaged");
    if (loaded.restart > 0) strategy_ = start_strategy(settings_, *loaded.prototype, loaded.restart);
    try {
      strategy_->restore(loaded.strategy);
    } catch (const std::runtime_error& error) {
      throw std::runtime_error(subject + error.what());
    }
    state_ = std::move(loaded);
    folder_.rewrite_log(state_.history);
    folder_.mend_timing();
    work_ = RunWork(settings_, strategy_->population(), state_.generation);
    begun_ = true;
    return true;
  }

  /// One generation. False if stopped; then nothing of it is committed and the run ends.
  bool generation() {
    const auto began = Clock::now();
    const std::vector<PromptChoice> choices = plan_.minibatch(state_.generation);
    const auto prompts = make_prompts(pool_, settings_.tasks, choices, settings_.seed, settings_.protocol, stop_);
    if (!prompts) return false;
    const Candidates candidates = strategy_->ask();
    std::vector<PolicyPointer> policies;
    for (std::size_t k = 0; k < candidates.count; ++k) policies.push_back(with_parameters(*state_.prototype, candidates[k]));
    MeasureDetails details;
    const auto values = training_.measure(policies, choices, *prompts, stop_, progress("training"), &details);
    if (!values) return false;

    if (finite_count(*values) == 0)
      throw std::runtime_error("generation " + std::to_string(state_.generation + 1) + ": at least one of " +
                               std::to_string(candidates.count) +
                               " candidates must have a finite value, none has; what was there before is kept: begin again with "
                               "a smaller --step-size");

    std::vector<double> losses;
    for (const double value : *values) losses.push_back(-value);
    strategy_->tell(losses);
    GenerationRecord record = summarise(*values);
    record.generation = state_.generation + 1;
    record.restart = state_.restart;
    record.noise = details.noise;
    record.signal_to_noise = signal_to_noise(record.spread, finite_count(*values), details.noise);
    record.step_size = strategy_->step_size();
    if (record.generation % settings_.validate_every == 0) {
      const PolicyPointer contenders[] = {with_parameters(*state_.prototype, strategy_->mean()), policies[best_of(*values)]};
      const auto validation = validate(contenders);
      if (!validation) return false;  // the strategy has moved on, but what is committed has not
      record.validation_mean = (*validation)[0];
      record.validation_candidate = (*validation)[1];
      for (std::size_t i = 0; i < 2; ++i)
        keep_if_better(state_, contenders[i], (*validation)[i], validated_by_budget_[i], record.generation);
      if (stagnant(record.generation) && state_.restart < settings_.stop.restarts) {
        record.restarts = true;
        strategy_ = start_strategy(settings_, *state_.prototype, state_.restart + 1);
        ++state_.restart;
        state_.progress_validation = state_.start_validation;
        state_.progress_generation = record.generation;
      }
    }
    state_.generation = record.generation;
    record.seconds = std::chrono::duration<double>(Clock::now() - began).count();
    commit(record);
    return true;
  }

  bool stagnant(std::int64_t generation) const {
    return settings_.stop.stagnant > 0 && generation - state_.progress_generation >= settings_.stop.stagnant;
  }

  /// Looked at between generations. Stagnation counts where there was a validation, so that a resumed run sees the same.
  std::optional<RunEnd> ended() const {
    if (settings_.stop.at && state_.best_validation >= *settings_.stop.at) return RunEnd::target;
    if (state_.generation % settings_.validate_every == 0 && stagnant(state_.generation)) return RunEnd::stagnation;
    if (state_.generation >= settings_.generations) return RunEnd::generations;
    const std::chrono::duration<double> taken = Clock::now() - began_;
    if (settings_.stop.minutes > 0 && taken.count() > settings_.stop.minutes * 60) return RunEnd::minutes;
    return std::nullopt;
  }

  /// Validates the last distribution mean if that was not its turn. Not part of the checkpoint: a run that goes on from here must
  /// not differ from one that never paused. False if stopped.
  bool finish() {
    if (state_.generation % settings_.validate_every == 0) return true;
    const PolicyPointer contender[] = {with_parameters(*state_.prototype, strategy_->mean())};
    const auto value = validate(contender);
    if (!value) return false;
    keep_if_better(state_, contender[0], value->front(), validated_by_budget_.front(), state_.generation);
    nlohmann::json line;
    line["final"] = true;
    line["generation"] = state_.generation;
    line["validation"] = {{"mean", detail::number_or_null(value->front())}};
    line["best_validation"] = detail::number_or_null(state_.best_validation);
    if (!state_.by_budget.empty()) line["front"] = front_of(state_, settings_);
    folder_.append_log(line);
    return true;
  }

  std::optional<std::vector<double>> validate(std::span<const PolicyPointer> policies) {
    if (validation_prompts_.empty()) {
      validation_choices_ = plan_.validation();
      auto prompts = make_prompts(pool_, settings_.tasks, validation_choices_, settings_.seed, settings_.protocol, stop_);
      if (!prompts) return std::nullopt;
      validation_prompts_ = std::move(*prompts);
    }
    MeasureDetails details;
    auto values =
        validation_.measure(policies, validation_choices_, validation_prompts_, stop_, progress("validation"), &details);
    validated_by_budget_ = std::move(details.by_budget);
    return values;
  }

  /// Checkpoint first: log and policy follow from it.
  void commit(GenerationRecord& record) {
    record.best_validation = state_.best_validation;
    record.costs = units_.take_costs();
    state_.strategy = strategy_->state();
    nlohmann::json line = to_log_line(record);
    if (!state_.by_budget.empty() && record.validation_mean) line["front"] = front_of(state_, settings_);
    state_.history.push_back(std::move(line));
    if (callbacks_.beginning && !committed_) callbacks_.beginning();
    committed_ = true;
    save_checkpoint(folder_.checkpoint(), state_);
    folder_.append_log(state_.history.back());
    folder_.append_timing(to_timing_line(record, units_));
    const auto now = [&](const BudgetBest& best) { return best.generation == record.generation; };
    if (state_.best_generation == record.generation || std::any_of(state_.by_budget.begin(), state_.by_budget.end(), now))
      save_policies(folder_, state_, settings_);
    if (callbacks_.generation) callbacks_.generation(record);
  }

  Progress progress(std::string_view stage) const {
    if (!callbacks_.progress) return {};
    return [this, stage](std::size_t done, std::size_t total) {
      const double of_all = total > 0 ? static_cast<double>(done) / static_cast<double>(total) : 1;
      callbacks_.progress(stage, done, total, work_.share(stage, begun_ ? state_.generation : -1, of_all));
    };
  }

  const RunSettings& settings_;
  HostPool& pool_;
  const RunCallbacks& callbacks_;
  const std::atomic<bool>* stop_;
  const Clock::time_point began_ = Clock::now();
  PromptPlan plan_;
  std::unique_ptr<Strategy> strategy_;
  std::unique_ptr<Fitness> fitness_;
  UnitPool& units_;
  RelativeMeasure training_, validation_;
  RunFolder folder_;
  RunWork work_;
  bool begun_ = false;      // the start is validated
  bool committed_ = false;  // by this call
  Checkpoint state_;
  std::vector<PromptChoice> validation_choices_;
  std::vector<Prompt> validation_prompts_;
  std::vector<std::vector<double>> validated_by_budget_;  // of the last validation, [policy][budget]
};

}  // namespace

RunResult run(const RunSettings& settings, HostPool& pool, const RunCallbacks& callbacks, const std::atomic<bool>* stop,
              UnitPool* units) {
  check_settings(settings);
  ThreadUnits threads(pool);
  return Run(settings, pool, units != nullptr ? *units : threads, callbacks, stop).execute();
}

}  // namespace namm::evolve
