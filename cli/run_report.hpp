#pragma once
#include <iosfwd>
#include <span>
#include <string>

#include <nlohmann/json.hpp>

#include "cli/run_session.hpp"

namespace namm::cli {

/// One run of a prompt and what it was.
struct LabelledRun {
  std::string runtime;  ///< "namm", or "llama.cpp" with its own cache
  std::string policy, budget, mode;
  CachePolicy memory;
  RunOutcome outcome;
  std::int64_t stock_kv_bytes = 0;     ///< what the runtime's own cache takes, if it is the one
  std::string attachment = "backend";  ///< --attachment
};

/// The savings of one run, a few lines.
void print_savings(std::ostream& out, const LabelledRun& run);
/// The kept tokens of every layer and KV head: "layer 2 head 0  37: 0-3 18 22-25 ...".
void print_positions(std::ostream& out, const RunOutcome& outcome);
/// Several runs of one prompt side by side.
void print_comparison(std::ostream& out, std::span<const LabelledRun> runs);

nlohmann::ordered_json to_json(const LabelledRun& run, const HostDescription& host, bool positions);

}  // namespace namm::cli
