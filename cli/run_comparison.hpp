#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cli/options.hpp"
#include "cli/run_report.hpp"

namespace namm::cli {

/// --policy x --mode x --budget, as far as they were given; without --policy everything is kept, or the policy `default` taken if
/// anything was said of how to drop. Throws std::invalid_argument if a policy that drops has no budget, if a budget or the like
/// has no policy that drops, or if there is more than one run without --compare.
std::vector<LabelledRun> runs_from(const po::variables_map& values);

/// Gives memory back and starts the count of peak memory anew: the peak of one run is only told if nothing is left of the one
/// before.
void start_measuring();

/// With the store, or stock llama.cpp.
enum class RunOn { attached, stock, stock_flash_attention };
using MakeHost = std::function<std::unique_ptr<llama::LlamaHost>(RunOn)>;
using Go = std::function<RunOutcome(llama::LlamaHost&, const CachePolicy&, const std::string& label)>;

/// Stock llama.cpp without and with flash attention, then everything kept, then `runs`; each host is gone before the next. The
/// result replaces `runs`; ends early if a run was interrupted.
void compare(std::vector<LabelledRun>& runs, const MakeHost& make_host, const Go& go);

}  // namespace namm::cli
