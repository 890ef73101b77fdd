#pragma once
#include <map>
#include <memory>
#include <string>

#include "cli/options.hpp"
#include "evolve/loop.hpp"
#include "trace/reader.hpp"

namespace namm::cli {

struct EvolveOptions;

/// The traces of a call: stages that name the same file share it.
class TraceFiles {
 public:
  /// Throws std::runtime_error if the file is damaged or has no prompts.
  std::shared_ptr<const trace::Reader> open(const std::string& path);

 private:
  std::map<std::string, std::shared_ptr<const trace::Reader>> open_;
};

/// --traces.
void add_traces(po::options_description& options);

/// Lets a run be measured on its trace: tasks, protocol, fitness `retention`. Throws std::invalid_argument if options say
/// otherwise, or say what only a live evaluation (--model) would read.
void measure_on_trace(const EvolveOptions& options, evolve::RunSettings& settings);
/// The numbers of prompts and the interval, as far as they were not given. Throws std::invalid_argument if the trace has fewer.
void count_on_trace(const EvolveOptions& options, evolve::RunSettings& settings);
/// Hosts that replay the trace.
HostFactory trace_factory(std::shared_ptr<const trace::Reader> trace);

}  // namespace namm::cli
