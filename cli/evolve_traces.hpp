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
/// otherwise, or say what only a live evaluation (--model) would read.
void measure_on_trace(const po::variables_map& values, const trace::Reader& trace, evolve::RunSettings& settings);
/// The numbers of prompts and the interval, as far as they were not given. Throws std::invalid_argument if the trace has fewer.
void count_on_trace(const po::variables_map& values, const trace::Reader& trace, evolve::RunSettings& settings);
/// Hosts that replay the trace.
HostFactory trace_factory(std::shared_ptr<const trace::Reader> trace);

/// Before hours on a trace: throws if the model or the validation prompts of a later live evaluation are not there.
void check_live(const po::variables_map& values);
/// What the policy is worth on the model: answer-likelihood on the validation prompts of `tasks`, beside h2o-mean, as
/// live.json in the run's folder and as text. `settings` is the run's. False if interrupted, which is said.
bool evaluate_live(const ModelOptions& model, const TaskOptions& tasks, const evolve::RunSettings& settings,
                   const std::shared_ptr<const Policy>& policy, bool quiet);

}  // namespace namm::cli
