#include "tasks/generators.hpp"
#include "tasks/needles.hpp"

namespace namm::tasks {
namespace {

/// Passkey retrieval (Mohtashami & Jaggi, "Landmark Attention", arXiv 2305.16300; InfiniteBench, arXiv 2402.13718): five
/// random digits, said twice in one place of a long text, at a uniform random depth.
class Passkey final : public RetrievalTask {
 public:
  using RetrievalTask::RetrievalTask;
  std::string_view name() const override { return "passkey"; }
  int max_answer_tokens() const override { return 8; }

  Sample make(const SampleRequest& request, const TokenCounter& count_tokens) const override {
    Rng rng = needle_rng(request);
    const std::string key = draw_number(rng, request.split, 5);
    std::vector<Needle> needles{{"The pass key is " + key + ". Remember it. " + key + " is the pass key.", rng.fraction()}};
    const auto source = filler(request);
    Sample sample = start(request);
    sample.context = fill_context(name(), *source, needles, request.length_tokens, count_tokens, [&](std::string_view sentence) {
      return contains_number(sentence, key) || sentence.find("pass key") != std::string_view::npos;
    });
    sample.needle_offset = needles.front().offset;
    sample.evidence = {{needles.front().offset, needles.front().text.size()}};
    sample.question = "\n\nWhat is the pass key?";
    sample.answer_prefix = " The pass key is";
    sample.answers = {key};
    return sample;
  }
};

}  // namespace

std::unique_ptr<Task> make_passkey(std::shared_ptr<const Haystack> haystack) {
  return std::make_unique<Passkey>(std::move(haystack));
}

}  // namespace namm::tasks
