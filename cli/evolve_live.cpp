#include "cli/evolve_live.hpp"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <optional>
#include <stdexcept>

#include "base/atomic_file.hpp"
#include "base/json_fields.hpp"
#include "cli/evolve_hosts.hpp"
#include "cli/interrupt.hpp"
#include "cli/model_options.hpp"
#include "cli/progress_bar.hpp"
#include "evolve/generation_record.hpp"
#include "evolve/relative_measure.hpp"
#include "namm/policy.hpp"
#include "tasks/data_task.hpp"

namespace namm::cli {
namespace {

/// Validation prompts of each task that differ.
std::size_t validation_of(const TaskOptions& options) {
  std::size_t out = tasks::DataTask::kEndless;
  for (const auto& task : options.tasks)
    if (const auto* const data = dynamic_cast<const tasks::DataTask*>(task.get()))
      out = std::min(out, data->different(tasks::Split::validation));
  return out;
}

CachePolicy memory_of(const evolve::RunSettings& settings) {
  CachePolicy out;
  out.spectrogram = settings.spectrogram;
  out.selection = settings.selection;
  out.interval_tokens = settings.interval_tokens;
  return out;
}

/// Of the policy and of h2o-mean, and the number of prompts.
struct Live {
  double policy = 0, h2o_mean = 0;
  std::size_t prompts = 0;
};

/// Nothing if interrupted.
std::optional<Live> measure_live(const EvolveOptions& options, const evolve::RunSettings& settings,
                                 const std::shared_ptr<const Policy>& policy, bool quiet) {
  const TaskOptions& tasks = options.tasks;
  const auto model = load_model(options.model);
  ModelOptions model_options = options.model;
  model_options.stop = &interrupted();
  HostPool pool(host_factory(model, model_options, context_for(model, tasks)), model_options.workers);
  const evolve::PromptPlan plan{tasks.tasks.size(),
                                tasks.lengths_tokens,
                                settings.budgets.size(),
                                1,
                                0,
                                std::min(settings.validation_prompts, validation_of(tasks)),
                                settings.seed};
  const std::vector<evolve::PromptChoice> choices = plan.validation();
  const auto prompts = evolve::make_prompts(pool, tasks.tasks, choices, settings.seed, tasks.protocol, &interrupted());
  if (!prompts) return std::nullopt;
  const auto fitness = evolve::make_fitness("answer-likelihood");
  evolve::ThreadUnits units(pool);
  evolve::RelativeMeasure measure(units, *fitness, tasks.protocol, memory_of(settings), settings.budgets, false);
  const std::shared_ptr<const Policy> policies[] = {policy, make_policy("h2o-mean")};
  ProgressBar bar(!quiet);
  const auto values = measure.measure(policies, choices, *prompts, &interrupted(),
                                      [&](std::size_t done, std::size_t all) { bar.show("live validation", done, all); });
  bar.clear();
  if (!values) return std::nullopt;
  return Live{(*values)[0], (*values)[1], prompts->size()};
}

}  // namespace

void check_live(const EvolveOptions& options) {
  const std::filesystem::path& model = options.model.model;
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(model, ignored) || !std::ifstream(model, std::ios::binary))
    throw std::runtime_error("model " + model.string() + ": must be a file that can be read, is not; check --model");
  if (validation_of(options.tasks) == 0)
    throw std::invalid_argument("--data: must hold prompts on at least 4 contexts, of which the fourth validates, " +
                                options.data + " holds fewer; add some");
  for (const auto& task : options.tasks.tasks)
    if (const auto* const data = dynamic_cast<const tasks::DataTask*>(task.get()))
      for (const tasks::Sample& sample : data->samples())
        if (sample.answers.empty())
          throw std::invalid_argument("--data: every prompt must have a gold answer for the live evaluation, prompt '" +
                                      sample.id + "' of " + options.data + " has none; leave --model out");
}

bool evaluate_live(const EvolveOptions& options, const evolve::RunSettings& settings, const std::shared_ptr<const Policy>& policy,
                   bool quiet) {
  const std::filesystem::path file = settings.output / "live.json";
  const auto live = measure_live(options, settings, policy, quiet);
  if (!live) {
    std::fprintf(stderr,
                 "namm: stopped before the live evaluation was done: %s is not written; the policy is, 'namm eval' measures it\n",
                 file.c_str());
    return false;
  }
  const nlohmann::json facts = {{"fitness", "answer-likelihood"},
                                {"prompts", live->prompts},
                                {"policy", detail::number_or_null(live->policy)},
                                {"h2o-mean", detail::number_or_null(live->h2o_mean)}};
  write_file_atomically(file, facts.dump(1) + "\n");
  std::printf("live: answer-likelihood %+.4f on %zu validation prompts (h2o-mean %+.4f)\n", live->policy, live->prompts,
              live->h2o_mean);
  std::fflush(stdout);
  return true;
}

}  // namespace namm::cli
