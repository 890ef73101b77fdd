#pragma once
#include <filesystem>
#include <vector>

#include "eval/details.hpp"

namespace namm::eval {

/// What `namm eval --details` wrote, in the order of the file. Every retention belongs to one of the prompts.
struct DetailsFile {
  std::vector<PromptDetails> prompts;
  std::vector<RetentionDetails> retentions;
  std::vector<std::size_t> prompt_of;  ///< index into `prompts`, one per retention
};

/// Whether the file's first line is one of a details file.
bool is_details_file(const std::filesystem::path& path);

/// Adds the content of a file. A line that stands there twice (a resumed evaluation) counts once, the later one. Throws
/// std::runtime_error "FILE:LINE: what is wrong" in one line; also if a retention comes without its prompt, or with another
/// number of tokens.
void load_details(const std::filesystem::path& path, DetailsFile& into);

}  // namespace namm::eval
