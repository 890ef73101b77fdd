#pragma once
#include <string>
#include <vector>

#include "tasks/haystack.hpp"
#include "tasks/task.hpp"

namespace namm::tasks {

/// A context of numbered paragraphs, as LongBench's synthetic tasks have it (arXiv 2308.14508):
///
///     OPENING
///
///     Paragraph 1: some sentences of the filler
///
///     Paragraph 2: ...
struct Passages {
  std::string text;
  std::vector<Extent> places;                       ///< of each numbered paragraph in `text`, its number included
  std::vector<std::vector<std::string>> sentences;  ///< of each numbered paragraph; the last of the last text may be cut
};

/// Paragraphs of about equal length that together meet `length_tokens`.
/// @param order  which text each numbered paragraph has: order[i] in [0, number of texts), every text at least
///               once, the last one only once. Paragraphs of the same text are the same word for word.
/// @throws std::invalid_argument if one sentence each is too long, or if two texts come out the same (repeated filler).
Passages make_passages(std::string_view task, std::string_view opening, const std::vector<std::size_t>& order,
                       SentenceSource& source, std::size_t length_tokens, const TokenCounter& count_tokens);

}  // namespace namm::tasks
