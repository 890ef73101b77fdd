#pragma once
#include <functional>
#include <string>
#include <vector>

#include "tasks/haystack.hpp"
#include "tasks/task.hpp"

namespace namm::tasks {

/// A sentence hidden in the filler.
struct Needle {
  std::string text;
  double depth = 0;        ///< 0 before the first filler sentence .. 1 after the last
  std::size_t offset = 0;  ///< result: byte at which it begins in the context
  bool own_line = false;   ///< a line end before and after it instead of a space
};

/// Filler and needles with at most `length_tokens` tokens, at most `length_slack(length_tokens)` below.
///
/// Linear: a sentence is counted once, with the space before it; the sum is an estimate, as BPE counts are not additive. The
/// whole text is then counted by the real counter, and the difference corrected by taking filler from the end. Filler that
/// must not be cut (`SentenceSource::may_be_cut`) may leave a gap of one sentence.
/// Filler sentences for which `refuse` says true are skipped. The needles keep their relative depths.
///
/// @throws std::invalid_argument if the needles alone are longer than `length_tokens`.
std::string fill_context(std::string_view task, SentenceSource& source, std::vector<Needle>& needles, std::size_t length_tokens,
                         const TokenCounter& count_tokens, const std::function<bool(std::string_view)>& refuse);

/// Where the needle with this text was put. Throws std::logic_error if there is none.
Extent extent_of(const std::vector<Needle>& needles, std::string_view text);

/// max(16, 2 % of the length).
std::size_t length_slack(std::size_t length_tokens);

/// Whether `number` stands in the text as a whole number.
bool contains_number(std::string_view text, std::string_view number);

}  // namespace namm::tasks
