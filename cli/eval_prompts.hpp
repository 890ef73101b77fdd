#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "cli/eval_candidates.hpp"
#include "cli/options.hpp"
#include "host/host_pool.hpp"
#include "host/protocol.hpp"

// Which prompts an evaluation measures.
namespace namm::cli {

/// --split: of a file all prompts unless a split is asked for; what is generated has a split. Throws std::invalid_argument.
std::string split_name(const po::variables_map& values);

/// Numbers of the prompts to measure: --samples; of a file all of the split's, or as many as --samples says, drawn by the seed.
/// The same one never counts twice. Throws std::invalid_argument if there is none.
std::vector<std::uint64_t> prompts_to_measure(const po::variables_map& values, const TaskOptions& tasks, tasks::Split split);

/// Plain texts of --data have nothing to be scored by: says so, and puts the task in their place that asks for their own next
/// words. Behind prompts_to_measure(), which counts their windows.
void continue_plain_texts(TaskOptions& tasks);

/// These prompts of a task at a length. Empty if interrupted. Throws std::runtime_error if one has no answer.
std::vector<Prompt> prompts_of(HostPool& pool, const TaskOptions& tasks, std::size_t task, std::size_t length,
                               const std::vector<std::uint64_t>& numbers, std::uint64_t seed, tasks::Split split);

/// Says how many prompts lost their middle, and counts them.
std::int64_t report_cut(const std::vector<Prompt>& prompts, std::size_t length);

/// Context that these prompts need, in tokens, with their answers, or with their repetition for hindsight.
int context_needed(const std::vector<Prompt>& prompts, std::span<const Candidate> candidates);

}  // namespace namm::cli
