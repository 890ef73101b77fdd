#include "cli/evolve_traces.hpp"

#include <algorithm>
#include <cstdio>
#include <stdexcept>
#include <utility>

#include "cli/evolve_settings.hpp"
#include "trace/chunk.hpp"
#include "trace/trace_host.hpp"
#include "trace/trace_tasks.hpp"

namespace namm::cli {
namespace {

/// Tells traces apart: prompts, and what was recorded of the first layer of each.
std::string fingerprint(const trace::Reader& trace) {
  std::uint32_t sum = 0;
  for (const trace::PromptRecord& prompt : trace.prompts()) sum = sum * 31 + crc32c(prompt.layers.front().bytes());
  char hex[16];
  std::snprintf(hex, sizeof hex, "%08x", sum);
  return hex;
}

}  // namespace

void add_traces(po::options_description& options) {
  options.add_options()("traces", po::value<std::string>()->value_name("FILE"),
                        "recorded prompts ('namm trace') to measure the fitness retention on; no model is run. With --model the "
                        "policy is evaluated live at the end, on --tasks or --data");
}

std::shared_ptr<const trace::Reader> TraceFiles::open(const std::string& path) {
  std::shared_ptr<const trace::Reader>& trace = open_[path];
  if (trace) return trace;
  auto fresh = std::make_shared<const trace::Reader>(path);
  if (fresh->prompts().empty()) throw std::runtime_error(path + ": must hold prompts, has none; record some (namm trace)");
  return trace = std::move(fresh);
}

void measure_on_trace(const EvolveOptions& options, evolve::RunSettings& settings) {
  if (options.fitness && *options.fitness != "retention")
    throw std::invalid_argument("--fitness: must be retention with --traces, is " + *options.fitness + "; leave one of them out");
  if (options.model.model.empty() && !options.prompt_option.empty())
    throw std::invalid_argument(options.prompt_option +
                                ": must be left out with --traces, which has its own prompts, was given; remove it, or give "
                                "--model to be evaluated live on it at the end");
  settings.fitness = "retention";
  settings.traces = fingerprint(*options.trace);
  settings.tasks.clear();
  for (const auto& task : trace::trace_tasks(*options.trace)) settings.tasks.push_back(task);
  settings.lengths_tokens = {0};  // as recorded
  settings.protocol.question_after = options.trace->settings().question_after;
  settings.protocol.chat_template = options.trace->settings().chat_template;
}

void count_on_trace(const EvolveOptions& options, evolve::RunSettings& settings) {
  std::size_t training = static_cast<std::size_t>(-1), validation = training;
  for (const auto& task : trace::trace_tasks(*options.trace)) {
    training = std::min(training, task->size(tasks::Split::train));
    validation = std::min(validation, task->size(tasks::Split::validation));
    for (const auto& [split, count] : {std::pair{"training", training}, std::pair{"validation", validation}})
      if (count == 0)
        throw std::invalid_argument("--traces: task " + std::string(task->name()) + " must have " + split +
                                    " prompts, has none; record some (namm trace --prompts, --validation)");
  }
  const std::string there = " prompts per task in the trace";
  settings.prompts_per_task = count_from(options.prompts, "prompts", training, "training" + there);
  settings.training_pool = count_from(options.training_pool, "training-pool", training, "training" + there);
  if (settings.training_pool == 0) settings.training_pool = training;
  settings.validation_prompts = count_from(options.validation, "validation", validation, "validation" + there);
  if (!options.memory.interval_tokens) settings.interval_tokens = options.trace->settings().interval_tokens;
}

HostFactory trace_factory(std::shared_ptr<const trace::Reader> trace) {
  return [trace = std::move(trace)] { return std::make_unique<trace::TraceHost>(trace); };
}

}  // namespace namm::cli
