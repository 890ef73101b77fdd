#include <algorithm>

#include "tasks/generators.hpp"
#include "tasks/passages.hpp"

namespace namm::tasks {
namespace {

/// Passage count (LongBench, arXiv 2308.14508, "PassageCount"): paragraphs of which some come several times, in random order;
/// the number of different ones is asked for, uniform between a third of the paragraphs and all. One paragraph for 60 tokens of
/// the context, 6 to 50. Where ours differs: paragraphs are filler (LongBench: Wikipedia). Score: `numbers`.
class PassageCount final : public RetrievalTask {
 public:
  using RetrievalTask::RetrievalTask;
  std::string_view name() const override { return "passage-count"; }

  Sample make(const SampleRequest& request, const TokenCounter& count_tokens) const override {
    Sample sample = start(request);
    sample.metric = "numbers";
    Rng rng = needle_rng(request);
    const std::size_t paragraphs = std::clamp<std::size_t>(request.length_tokens / 60, 6, 50);
    const std::size_t different = rng.between(paragraphs / 3, paragraphs);
    std::vector<std::size_t> order(paragraphs);
    for (std::size_t i = 0; i < paragraphs; ++i)
      order[i] = i < different ? i : rng.below(std::max<std::size_t>(different, 2) - 1);
    shuffle(order, rng);
    const auto source = filler(request);
    sample.context =
        make_passages(name(),
                      "There are some paragraphs below. Some of them may be duplicates. Please read them carefully and "
                      "determine how many different paragraphs there are after removing duplicates.",
                      order, *source, request.length_tokens, count_tokens)
            .text;
    sample.question =
        "\n\nPlease enter the final count of different paragraphs after removing duplicates. The output format should only "
        "contain the number, such as 1, 2, 3, and so on.";
    sample.answer_prefix = "\n\nThe final answer is:";
    sample.answers = {std::to_string(different)};
    return sample;
  }
};

}  // namespace

std::unique_ptr<Task> make_passage_count(std::shared_ptr<const Haystack> haystack) {
  return std::make_unique<PassageCount>(std::move(haystack));
}

}  // namespace namm::tasks
