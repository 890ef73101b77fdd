#include "cli/evolve_traces.hpp"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "base/atomic_file.hpp"
#include "base/json_fields.hpp"
#include "cli/evolve_settings.hpp"
#include "cli/interrupt.hpp"
#include "cli/progress_bar.hpp"
#include "evolve/relative_measure.hpp"
#include "namm/policy.hpp"
#include "trace/chunk.hpp"
#include "trace/trace_host.hpp"
#include "trace/trace_tasks.hpp"

namespace namm::cli {
namespace {

/// Tells traces apart: prompts, and what was recorded of the first layer of each.
std::string fingerprint(const trace::Reader& trace) {
  std::uint32_t sum = 0;
  for (const trace::PromptRecord& prompt : trace.prompts()) sum = sum * 31 + trace::crc32c(prompt.layers.front().bytes());
  char hex[16];
  std::snprintf(hex, sizeof hex, "%08x", sum);
  return hex;
}

/// Validation prompts of each task that differ.
std::size_t validation_of(const TaskOptions& options) {
  std::size_t out = tasks::DataTask::kEndless;
  for (const auto& task : options.tasks)
    if (const auto* const data = dynamic_cast<const tasks::DataTask*>(task.get()))
      out = std::min(out, data->different(tasks::Split::validation));
  return out;
}

}  // namespace

void add_traces(po::options_description& options) {
  options.add_options()("traces", po::value<std::string>()->value_name("FILE"),
                        "recorded prompts ('namm trace') to measure the fitness retention on; no model is run. With --model the "
                        "policy is evaluated live at the end, on --tasks or --data");
}

std::shared_ptr<const trace::Reader> trace_from(const po::variables_map& values) {
  if (!values.contains("traces")) {
    if (!values.contains("model"))
      throw std::invalid_argument("option --model: must be given, or recorded prompts with --traces; see --help");
    if (values["fitness"].as<std::string>() == "retention")
      throw std::invalid_argument("--fitness retention: needs recorded prompts; give --traces FILE, as 'namm trace' writes it");
    return nullptr;
  }
  static std::shared_ptr<const trace::Reader> known;  // stages and hosts ask for the same one
  static std::string known_path;
  const std::string path = values["traces"].as<std::string>();
  if (known && known_path == path) return known;
  auto trace = std::make_shared<const trace::Reader>(path);
  if (trace->prompts().empty()) throw std::runtime_error(path + ": must hold prompts, has none; record some (namm trace)");
  known = trace;
  known_path = path;
  return trace;
}

void measure_on_trace(const po::variables_map& values, const trace::Reader& trace, evolve::RunSettings& settings) {
  if (!values["fitness"].defaulted() && settings.fitness != "retention")
    throw std::invalid_argument("--fitness: must be retention with --traces, is " + settings.fitness + "; leave one of them out");
  for (const char* const name : {"tasks", "data", "length", "haystack", "question-in-context", "no-chat"})
    if (!values.contains("model") && was_given(values, name))
      throw std::invalid_argument(std::string("--") + name +
                                  ": must be left out with --traces, which has its own prompts, was given; remove it, or give "
                                  "--model to be evaluated live on it at the end");
  settings.fitness = "retention";
  settings.traces = fingerprint(trace);
  settings.tasks.clear();
  for (const auto& task : trace::trace_tasks(trace)) settings.tasks.push_back(task);
  settings.lengths_tokens = {0};  // as recorded
  settings.protocol.question_after = trace.settings().question_after;
  settings.protocol.chat_template = trace.settings().chat_template;
}

void count_on_trace(const po::variables_map& values, const trace::Reader& trace, evolve::RunSettings& settings) {
  std::size_t training = static_cast<std::size_t>(-1), validation = training;
  for (const auto& task : trace::trace_tasks(trace)) {
    training = std::min(training, task->size(tasks::Split::train));
    validation = std::min(validation, task->size(tasks::Split::validation));
    for (const auto& [split, count] : {std::pair{"training", training}, std::pair{"validation", validation}})
      if (count == 0)
        throw std::invalid_argument("--traces: task " + std::string(task->name()) + " must have " + split +
                                    " prompts, has none; record some (namm trace --prompts, --validation)");
  }
  const std::string there = " prompts per task in the trace";
  settings.prompts_per_task = count_from(values, "prompts", training, "training" + there);
  settings.training_pool = count_from(values, "training-pool", training, "training" + there);
  if (settings.training_pool == 0) settings.training_pool = training;
  settings.validation_prompts = count_from(values, "validation", validation, "validation" + there);
  if (!values.contains("interval")) settings.interval_tokens = trace.settings().interval_tokens;
}

HostFactory trace_factory(std::shared_ptr<const trace::Reader> trace) {
  return [trace = std::move(trace)] { return std::make_unique<trace::TraceHost>(trace); };
}

void check_live(const po::variables_map& values) {
  const std::filesystem::path model = values["model"].as<std::string>();
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(model, ignored) || !std::ifstream(model, std::ios::binary))
    throw std::runtime_error("model " + model.string() + ": must be a file that can be read, is not; check --model");
  const TaskOptions tasks = tasks_from(values, tasks::FileSplits::disjoint);
  if (validation_of(tasks) == 0)
    throw std::invalid_argument("--data: must hold at least 4 prompts, of which the fourth validates, " +
                                values["data"].as<std::string>() + " holds fewer; add some");
  for (const auto& task : tasks.tasks)
    if (const auto* const data = dynamic_cast<const tasks::DataTask*>(task.get()))
      for (const tasks::Sample& sample : data->samples())
        if (sample.answers.empty())
          throw std::invalid_argument("--data: every prompt must have a gold answer for the live evaluation, prompt '" +
                                      sample.id + "' of " + values["data"].as<std::string>() + " has none; leave --model out");
}

bool evaluate_live(const ModelOptions& options, const TaskOptions& tasks, const evolve::RunSettings& settings,
                   const std::shared_ptr<const Policy>& policy, bool quiet) {
  const auto stopped = [&] {
    std::fprintf(stderr,
                 "namm: stopped before the live evaluation was done: %s is not written; the policy is, 'namm eval' measures it\n",
                 (settings.output / "live.json").c_str());
    return false;
  };
  const auto model = llama::LlamaModel::load(options.model);
  HostPool pool(host_factory(model, options, context_for(model, tasks)), options.workers);
  const evolve::PromptPlan plan{tasks.tasks.size(),
                                tasks.lengths_tokens,
                                settings.budgets.size(),
                                1,
                                0,
                                std::min(settings.validation_prompts, validation_of(tasks)),
                                settings.seed};
  const std::vector<evolve::PromptChoice> choices = plan.validation();
  const auto prompts = evolve::make_prompts(pool, tasks.tasks, choices, settings.seed, tasks.protocol, &interrupted());
  if (!prompts) return stopped();
  const auto fitness = evolve::make_fitness("answer-likelihood");
  evolve::ThreadUnits units(pool);
  evolve::Evaluator evaluator(units, *fitness, tasks.protocol);
  CachePolicy base;
  base.spectrogram = settings.spectrogram;
  base.selection = settings.selection;
  base.interval_tokens = settings.interval_tokens;
  evolve::RelativeMeasure measure(evaluator, base, settings.budgets, false);
  const std::shared_ptr<const Policy> policies[] = {policy, make_policy("h2o-mean")};
  ProgressBar bar(!quiet);
  const auto values = measure.measure(policies, choices, *prompts, &interrupted(),
                                      [&](std::size_t done, std::size_t all) { bar.show("live validation", done, all); });
  bar.clear();
  if (!values) return stopped();
  const nlohmann::json facts = {{"fitness", "answer-likelihood"},
                                {"prompts", prompts->size()},
                                {"policy", detail::number_or_null((*values)[0])},
                                {"h2o-mean", detail::number_or_null((*values)[1])}};
  write_file_atomically(settings.output / "live.json", facts.dump(1) + "\n");
  std::printf("live: answer-likelihood %+.4f on %zu validation prompts (h2o-mean %+.4f)\n", (*values)[0], prompts->size(),
              (*values)[1]);
  std::fflush(stdout);
  return true;
}

}  // namespace namm::cli
