#include "tasks/generators.hpp"
#include "tasks/needles.hpp"

namespace namm::tasks {
namespace {

/// Single needle in a haystack (RULER, arXiv 2404.06654, "niah_single" with word keys and number values): a seven-digit
/// number for one word, at a uniform random depth.
class NiahSingle final : public RetrievalTask {
 public:
  using RetrievalTask::RetrievalTask;
  std::string_view name() const override { return "niah-single"; }

  Sample make(const SampleRequest& request, const TokenCounter& count_tokens) const override {
    Rng rng = needle_rng(request);
    const std::string word = draw_word(rng, request.split);
    const std::string number = draw_number(rng, request.split, 7);
    std::vector<Needle> needles{{"One of the special magic numbers for " + word + " is: " + number + ".", rng.fraction()}};
    const auto source = filler(request);
    Sample sample = start(request);
    sample.context = fill_context(name(), *source, needles, request.length_tokens, count_tokens, [&](std::string_view sentence) {
      return contains_number(sentence, number) || sentence.find("magic number") != std::string_view::npos;
    });
    sample.needle_offset = needles.front().offset;
    sample.evidence = {{needles.front().offset, needles.front().text.size()}};
    sample.question = "\n\nWhat is the special magic number for " + word + " mentioned in the text?";
    sample.answer_prefix = " The special magic number for " + word + " mentioned in the text is:";
    sample.answers = {number};
    return sample;
  }
};

}  // namespace

std::unique_ptr<Task> make_niah_single(std::shared_ptr<const Haystack> haystack) {
  return std::make_unique<NiahSingle>(std::move(haystack));
}

}  // namespace namm::tasks
