#pragma once
#include <filesystem>
#include <span>
#include <string>

#include "cli/eval_candidates.hpp"

namespace namm::cli {

/// For results on the prompts of a file: says in a line, for each policy that was fitted to them or evolved on them, that its
/// results are too good. `split` (train, validation, test or all) are those that are measured. The file is known by its content,
/// whatever its name, from what a policy's file says it was made from.
void warn_of_seen_prompts(std::span<const Candidate> candidates, const std::filesystem::path& data, const std::string& split);

}  // namespace namm::cli
