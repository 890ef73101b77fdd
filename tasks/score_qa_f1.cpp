#include <algorithm>
#include <map>

#include "tasks/scores.hpp"
#include "tasks/text_tokens.hpp"

namespace namm::tasks {
namespace {

std::vector<std::string> answer_words(std::string_view text) {
  std::vector<std::string> words = overlap_words(text);
  std::erase_if(words, [](const std::string& word) { return word == "a" || word == "an" || word == "the"; });
  return words;
}

}  // namespace

double score_qa_f1(std::span<const std::string> answers, std::string_view generated) {
  const std::vector<std::string> got = answer_words(generated);
  double best = 0;
  for (const std::string& answer : answers) {
    const std::vector<std::string> wanted = answer_words(answer);
    std::map<std::string_view, int> left;
    for (const std::string& word : wanted) ++left[word];
    std::size_t common = 0;
    for (const std::string& word : got)
      if (const auto found = left.find(word); found != left.end() && found->second-- > 0) ++common;
    best = std::max(best, f1(common, got.size(), wanted.size()));
  }
  return best;
}

}  // namespace namm::tasks
