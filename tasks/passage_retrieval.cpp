#include <algorithm>
#include <map>
#include <stdexcept>

#include "tasks/generators.hpp"
#include "tasks/passages.hpp"

namespace namm::tasks {
namespace {

/// Passage retrieval (LongBench, arXiv 2308.14508, "PassageRetrieval-en"): numbered paragraphs; the number of one is asked for.
/// There are 30, or one for 100 tokens of a shorter context. Where ours differs: paragraphs are filler (LongBench: Wikipedia),
/// and what is looked up is a sentence of the paragraph (LongBench: a summary written by a model). Score: `numbers`.
class PassageRetrieval final : public RetrievalTask {
 public:
  using RetrievalTask::RetrievalTask;
  std::string_view name() const override { return "passage-retrieval"; }

  Sample make(const SampleRequest& request, const TokenCounter& count_tokens) const override {
    Sample sample = start(request);
    sample.metric = "numbers";
    std::vector<std::size_t> order(std::clamp<std::size_t>(request.length_tokens / 100, 3, 30));
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    const auto source = filler(request);
    const std::string opening = "Here are " + std::to_string(order.size()) +
                                " paragraphs, along with a sentence. Please determine which paragraph the sentence is from.";
    Passages passages = make_passages(name(), opening, order, *source, request.length_tokens, count_tokens);
    Rng rng = needle_rng(request);
    const auto [number, sentence] = pick(passages, rng);
    sample.context = std::move(passages.text);
    sample.evidence = {passages.places[number - 1]};
    sample.needle_offset = sample.evidence.front().offset;
    sample.question = "\n\nThe following is a sentence of one paragraph.\n\n" + sentence +
                      "\n\nPlease enter the number of the paragraph that the sentence is from. The answer format must be like "
                      "\"Paragraph 1\", \"Paragraph 2\", etc.";
    sample.answer_prefix = "\n\nThe answer is:";
    sample.answers = {"Paragraph " + std::to_string(number)};
    return sample;
  }

 private:
  /// A paragraph, and a sentence of it that no other has; not the last one, which may be cut.
  std::pair<std::size_t, std::string> pick(const Passages& passages, Rng& rng) const {
    std::map<std::string_view, int> times;
    for (const auto& sentences : passages.sentences)
      for (const std::string& sentence : sentences) ++times[sentence];
    const std::size_t first = rng.below(passages.sentences.size()), from = rng.below(1000);
    for (std::size_t k = 0; k < passages.sentences.size(); ++k) {
      const std::size_t p = (first + k) % passages.sentences.size();
      const auto& sentences = passages.sentences[p];
      const std::size_t whole = sentences.size() - (p + 1 == passages.sentences.size() && sentences.size() > 1 ? 1 : 0);
      for (std::size_t i = 0; i < whole; ++i)
        if (const std::string& sentence = sentences[(from + i) % whole]; sentence.size() >= 30 && times[sentence] == 1)
          return {p + 1, sentence};
    }
    throw std::invalid_argument(
        "task passage-retrieval: the haystack must have sentences that come once, has none of 30 bytes or more; use prose or a "
        "text file");
  }
};

}  // namespace

std::unique_ptr<Task> make_passage_retrieval(std::shared_ptr<const Haystack> haystack) {
  return std::make_unique<PassageRetrieval>(std::move(haystack));
}

}  // namespace namm::tasks
