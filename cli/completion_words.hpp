#pragma once
#include <string>
#include <vector>

#include "cli/options.hpp"

namespace namm::cli {

/// What a shell offers behind an option.
struct CompletionWords {
  bool value = true;               ///< false: a switch
  bool files = false;              ///< names of files and folders, too
  bool list = false;               ///< several, with commas between them
  std::vector<std::string> words;  ///< names that are known
};

CompletionWords completion_words(const po::option_description& option);

}  // namespace namm::cli
