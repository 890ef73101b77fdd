#pragma once
#include <memory>

#include "cli/options.hpp"
#include "evolve/loop.hpp"
#include "trace/reader.hpp"

namespace namm::cli {

/// --traces.
void add_traces(po::options_description& options);
/// The trace that was given; null if none. Read once. Throws std::runtime_error if it is damaged or has no prompts.
std::shared_ptr<const trace::Reader> trace_from(const po::variables_map& values);

/// Lets a run be measured on a trace: its tasks, its protocol, fitness `retention`. Throws std::invalid_argument if options say
/// otherwise.
void measure_on_trace(const po::variables_map& values, const trace::Reader& trace, evolve::RunSettings& settings);
/// The numbers of prompts and the interval, as far as they were not given. Throws std::invalid_argument if the trace has fewer.
void count_on_trace(const po::variables_map& values, const trace::Reader& trace, evolve::RunSettings& settings);
/// Hosts that replay the trace.
evolve::HostFactory trace_factory(std::shared_ptr<const trace::Reader> trace);

/// What the policy is worth on the model: answer-likelihood on the validation prompts of `tasks`, beside h2o-mean, as
/// live.json in the run's folder and as text. `settings` is the run's.
void evaluate_live(const ModelOptions& model, const TaskOptions& tasks, const evolve::RunSettings& settings,
                   const std::shared_ptr<const Policy>& policy, bool quiet);

}  // namespace namm::cli
