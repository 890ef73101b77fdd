#pragma once
#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "evolve/stop_rules.hpp"
#include "evolve/unit_pool.hpp"
#include "host/host_pool.hpp"
#include "host/protocol.hpp"
#include "namm/policy.hpp"
#include "tasks/task.hpp"

namespace namm::evolve {

/// A run of evolution. Together with the model these decide the result; workers and callbacks do not.
struct RunSettings {
  std::shared_ptr<const Policy> prototype;  ///< its parameters are the start: zeros when fresh, a policy file's for a warm start
  std::string start;                        ///< names what `fit_start` does; empty if the prototype is the start
  /// Called once, when a run begins, with the normalised prototype; returns the start to be used in its place.
  std::function<std::shared_ptr<const Policy>(const Policy&)> fit_start;
  bool gather_normalisation = true;  ///< before generation 0, for policies with a normalisation; false keeps the prototype's
  std::vector<std::shared_ptr<const tasks::Task>> tasks;
  std::vector<std::size_t> lengths_tokens = {
      512};                             ///< of contexts; take turns over the prompts; 0 = all of it, for prompts from files
  std::size_t prompts_per_task = 8;     ///< per generation
  std::size_t training_pool = 0;        ///< different training prompts per task; 0 = new ones in every generation
  std::size_t validation_prompts = 16;  ///< per task; each is measured under every budget
  std::int64_t validate_every = 5;      ///< generations; the start and the last generation are always validated

  std::vector<Budget> budgets;  ///< take turns over a generation's prompts and tasks; the first becomes the policy file's default
  SelectionSettings selection;  ///< its budget is not read
  SpectrogramSettings spectrogram;
  int interval_tokens = 512;
  std::string fitness = "answer-likelihood";
  std::string traces;  ///< what tells the recorded prompts from others, where the fitness is measured on those; else empty
  nlohmann::json sources = nlohmann::json::object();  ///< what tells model and texts from others of that name; see run()
  ProtocolSettings protocol;
  std::size_t prompt_memory_bytes = kPromptMemory;  ///< of prompts that the fitness remembers; changes no result

  std::string strategy = "cma";
  int population = 0;  ///< 0 = the strategy's default
  double step_size = 0.065;
  std::uint64_t seed = 1;          ///< of everything
  std::int64_t generations = 100;  ///< in all; a resumed run may have more than the one that was stopped

  StopRules stop;

  std::filesystem::path output;  ///< folder for checkpoint.json, policy.json, log.jsonl and timing.jsonl; made if missing
  bool resume = false;           ///< continue the run in `output`
  nlohmann::json provenance = nlohmann::json::object();  ///< goes into the policy file; a resumed run keeps the first one's
};

/// What one generation came to. Values are relative to the full cache (fitness.hpp), higher = better.
struct GenerationRecord {
  std::int64_t generation = 0;            ///< 1 = the first; 0 = the validation of the start
  double best = 0, mean = 0, spread = 0;  ///< of the candidates' fitness; spread = standard deviation; NaN in generation 0
  double noise = 0;                       ///< of a candidate's fitness (noise.hpp); NaN if unknown
  double signal_to_noise = 0;             ///< 0 = candidates differ no more than chance; NaN if unknown
  double step_size = 0;
  std::int64_t restart = 0;                                     ///< restarts before this generation
  bool restarts = false;                                        ///< the next generation begins anew
  std::optional<double> validation_mean, validation_candidate;  ///< of the distribution's mean and the generation's best
  double best_validation = 0;                                   ///< of the policy kept so far
  double seconds = 0;                                           ///< wall clock; not part of the log
  UnitCosts costs;                                              ///< of training and validation; not part of the log
};

struct RunCallbacks {
  /// Called from one worker thread at a time: "normalisation", "training" or "validation", its units done, its units in all, and
  /// the share of the whole run, 0 to 1, that is done of what was to be done when it began or was resumed.
  std::function<void(std::string_view, std::size_t, std::size_t, double)> progress;
  /// After the generation's checkpoint is on disk.
  std::function<void(const GenerationRecord&)> generation;
  /// Before the first checkpoint that this call writes; the folder is there. Who writes beside it what a resumed run needs, does
  /// it here: a checkpoint must not be there without it.
  std::function<void()> beginning = {};
};

struct RunResult {
  std::shared_ptr<const Policy> policy;  ///< the best on validation; the start if nothing was better
  double validation = 0, start_validation = 0;
  std::int64_t generation = 0;       ///< generations completed
  std::int64_t best_generation = 0;  ///< where `policy` comes from
  bool stopped = false;              ///< `end` is interrupted
  bool written = true;               ///< false: stopped before the start was validated; there are no files, nothing to resume
  RunEnd end = RunEnd::generations;
};

/// Evolves a policy. Writes the checkpoint after every generation: a run killed at any instant behind the first checkpoint and
/// resumed gives the same files, byte for byte, as one never killed. When `stop` becomes true, the generation under way is
/// abandoned and what was there before it is written. Throws std::invalid_argument for wrong settings, std::runtime_error if
/// `output` holds another run, cannot be written, or holds a checkpoint that is damaged or of other settings (the sources among
/// them, unless it has none); exceptions of hosts reach the caller. `pool` makes prompts and gathers the normalisation. `units`
/// measures; null: `pool` does that as well.
RunResult run(const RunSettings& settings, HostPool& pool, const RunCallbacks& callbacks = {},
              const std::atomic<bool>* stop = nullptr, UnitPool* units = nullptr);

}  // namespace namm::evolve
