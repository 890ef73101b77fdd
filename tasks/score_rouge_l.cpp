#include <algorithm>

#include "tasks/scores.hpp"
#include "tasks/text_tokens.hpp"

namespace namm::tasks {

double score_rouge_l(std::span<const std::string> answers, std::string_view generated) {
  constexpr std::size_t kMost = 4096;
  std::vector<std::string> got = overlap_words(generated);
  got.resize(std::min(got.size(), kMost));
  double best = 0;
  for (const std::string& answer : answers) {
    std::vector<std::string> wanted = overlap_words(answer);
    wanted.resize(std::min(wanted.size(), kMost));
    const std::size_t common =
        longest_common_subsequence(std::span<const std::string>(got), std::span<const std::string>(wanted));
    best = std::max(best, f1(common, got.size(), wanted.size()));
  }
  return best;
}

}  // namespace namm::tasks
