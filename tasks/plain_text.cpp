#include <algorithm>

#include "base/ascii.hpp"
#include "tasks/fit.hpp"
#include "tasks/generators.hpp"

namespace namm::tasks {
namespace {

constexpr std::size_t kAnswerWords = 32;
constexpr std::size_t kFewestTokens = 32;

/// Plain text, for perplexity and fidelity: a piece of the haystack, and its own next 32 words as the answer. There is nothing
/// to find and no question; what counts is the likelihood of the continuation (its perplexity is exp of minus the mean
/// log-likelihood) and how far the compressed model's distribution is from the full one's. The score, ROUGE-L of what the model
/// writes on its own, is low even for good models. Generated prose is easy to predict: use `--haystack FILE` for real text.
class PlainText final : public RetrievalTask {
 public:
  using RetrievalTask::RetrievalTask;
  std::string_view name() const override { return "text"; }
  int max_answer_tokens() const override { return 64; }

  Sample make(const SampleRequest& request, const TokenCounter& count_tokens) const override {
    Sample sample = start(request);
    sample.metric = "rouge-l";
    const std::size_t length = request.length_tokens;
    if (length < kFewestTokens) refuse_short(name(), length, "beginning of a text", kFewestTokens);
    const auto source = filler(request);
    std::string text;
    std::size_t tokens = 0, words_after = 0;
    while (tokens <= length + length / 8 || words_after < 4 * kAnswerWords) {
      const Sentence sentence = source->next();
      if (!text.empty()) text += sentence.starts_paragraph ? "\n\n" : sentence.own_line ? "\n" : " ";
      text += sentence.text;
      tokens += std::max<std::size_t>(count_tokens(" " + sentence.text), 1);
      if (tokens > length)
        words_after += 1 + static_cast<std::size_t>(std::count(sentence.text.begin(), sentence.text.end(), ' '));
    }
    // a context ends, and its continuation begins, at a single space between two words
    std::vector<std::size_t> ends;
    for (std::size_t i = 1; i + 1 < text.size(); ++i)
      if (text[i] == ' ' && !is_space(text[i - 1]) && !is_space(text[i + 1])) ends.push_back(i);
    const std::size_t most = ends.size() > kAnswerWords ? ends.size() - kAnswerWords : 0;
    const std::size_t words = fit_size(most, length, length, [&](std::size_t count) {
      return count_tokens(std::string_view(text).substr(0, count == 0 ? 0 : ends[count - 1]));
    });
    if (words == 0) refuse_short(name(), length, "beginning of a text", 2 * length);
    const std::size_t end = ends[words - 1], stop = ends[std::min(words - 1 + kAnswerWords, ends.size() - 1)];
    sample.context = text.substr(0, end);
    sample.answers = {text.substr(end + 1, stop - end - 1)};
    return sample;
  }
};

}  // namespace

std::unique_ptr<Task> make_text(std::shared_ptr<const Haystack> haystack) {
  return std::make_unique<PlainText>(std::move(haystack));
}

}  // namespace namm::tasks
