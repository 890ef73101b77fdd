#include "tasks/text_continuation.hpp"

#include <algorithm>
#include <stdexcept>
#include <vector>

#include "base/ascii.hpp"

namespace namm::tasks {
namespace {

constexpr std::size_t kContinuedWords = 32;

}  // namespace

TextContinuation::TextContinuation(std::shared_ptr<const DataTask> texts) : texts_(std::move(texts)) {
  if (!texts_->is_plain())
    throw std::invalid_argument("texts of '" + std::string(texts_->name()) + "': must be plain, have questions or answers");
}

Sample TextContinuation::make(const SampleRequest& request, const TokenCounter& count_tokens) const {
  Sample sample = texts_->make(request, count_tokens);
  std::string& text = sample.context;
  while (!text.empty() && is_space(text.back())) text.pop_back();
  // the continuation begins at a single blank between two words, which is what comes before an answer
  std::vector<std::size_t> blanks;
  for (std::size_t i = 1; i + 1 < text.size(); ++i)
    if (text[i] == ' ' && !is_space(text[i - 1]) && !is_space(text[i + 1])) blanks.push_back(i);
  const std::size_t words = std::min(kContinuedWords, blanks.size() / 4);
  if (words == 0)
    throw std::invalid_argument(
        "text '" + sample.id +
        "': must have at least 5 words with a blank between them, of which the last are to be continued, has " +
        std::to_string(blanks.size() + 1) + "; give longer texts, or prompts as JSON lines (docs/tasks.md)");
  const std::size_t at = blanks[blanks.size() - words];
  sample.answers = {text.substr(at + 1)};
  text.resize(at);
  sample.metric = "rouge-l";
  return sample;
}

}  // namespace namm::tasks
