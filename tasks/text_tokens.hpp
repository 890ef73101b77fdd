#pragma once
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace namm::tasks {

/// Words of a text for overlap scores: ASCII letters in lower case, ASCII punctuation removed (not a separator: "don't" is
/// "dont", as in SQuAD), cut at white space; each character of a script without spaces (from U+2E80 on) is a word of its own.
std::vector<std::string> overlap_words(std::string_view text);

/// Length of the longest common subsequence, over the first 4096 elements of each.
template <class T>
std::size_t longest_common_subsequence(std::span<const T> a, std::span<const T> b) {
  constexpr std::size_t kMost = 4096;
  a = a.first(a.size() < kMost ? a.size() : kMost);
  b = b.first(b.size() < kMost ? b.size() : kMost);
  std::vector<std::size_t> row(b.size() + 1, 0);
  for (const T& left : a) {
    std::size_t diagonal = 0;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = row[j];
      row[j] = left == b[j - 1] ? diagonal + 1 : (above > row[j - 1] ? above : row[j - 1]);
      diagonal = above;
    }
  }
  return row.back();
}

/// Harmonic mean of common/a and common/b; 0 if there is nothing in common.
inline double f1(std::size_t common, std::size_t a, std::size_t b) {
  return common == 0 ? 0.0 : 2.0 * static_cast<double>(common) / static_cast<double>(a + b);
}

}  // namespace namm::tasks
