#pragma once
#include <string>
#include <string_view>
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

/// Of an option of this command: the same name may take a word in one and a number in another.
CompletionWords completion_words(std::string_view command, const po::option_description& option);

}  // namespace namm::cli
