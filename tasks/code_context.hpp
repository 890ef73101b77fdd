#pragma once
#include <memory>
#include <string>

#include "tasks/code_corpus.hpp"

namespace namm::tasks {

/// Code with a place in the middle of a file: what stands before it and after it, to be cut to length.
struct CodeContext {
  std::string before, after;
};

/// Whole other files before and after the place `at` (a byte of `file`), so that each side has at least the asked number of
/// tokens. The file itself does not come again; others do where the corpus is small.
CodeContext code_around(const CodeCorpus& corpus, Split split, Rng& rng, const CodeFile& file, std::size_t at,
                        std::size_t tokens_before, std::size_t tokens_after, const TokenCounter& count_tokens);

/// The end of the text with at most `tokens` tokens; begins at a line where that costs less than `length_slack(tokens)` / 2.
std::string last_tokens(std::string_view text, std::size_t tokens, const TokenCounter& count_tokens);
/// The same for the beginning of the text; ends with a whole line where that costs as little.
std::string first_tokens(std::string_view text, std::size_t tokens, const TokenCounter& count_tokens);

/// Fewest tokens of a context of code.
constexpr std::size_t kFewestCodeTokens = 64;

}  // namespace namm::tasks
