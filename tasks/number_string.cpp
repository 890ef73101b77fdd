#include "tasks/generators.hpp"
#include "tasks/needles.hpp"

namespace namm::tasks {
namespace {

/// Ten digits: five random ones, then five times one of them doubled in its place, so that digits repeat.
std::string draw_string(Rng& rng, Split split) {
  for (;;) {
    std::string digits;
    for (int i = 0; i < 5; ++i) digits += static_cast<char>('0' + static_cast<char>(rng.below(10)));
    for (int i = 0; i < 5; ++i) {
      const std::size_t at = rng.below(digits.size());
      digits.insert(at, 1, digits[at]);
    }
    if (split_of_needle(digits) == split) return digits;
  }
}

/// Number retrieval (InfiniteBench, arXiv 2402.13718, "Retrieve.Number"): ten digits with repetitions, said twice in one place
/// of the repeated sentences, as passkey retrieval but harder to read off. Where ours differs: a uniform random depth, any
/// filler. Score: `prefix`, on a text that begins with the published answer prefix.
class NumberString final : public RetrievalTask {
 public:
  explicit NumberString(std::shared_ptr<const Haystack> haystack) : RetrievalTask(std::move(haystack), repeated_haystack()) {}
  std::string_view name() const override { return "number-string"; }

  Sample make(const SampleRequest& request, const TokenCounter& count_tokens) const override {
    Sample sample = start(request);
    Rng rng = needle_rng(request);
    const std::string digits = draw_string(rng, request.split);
    const std::string told = "The sequence of digits is " + digits + ". Remember it. " + digits + " is the sequence of digits.";
    std::vector<Needle> needles{
        {"There is an important info hidden inside a lot of irrelevant text. Find it. I will quiz you about the important "
         "information there.",
         0.0, 0, true},
        {told, rng.fraction()}};
    const auto source = filler(request);
    sample.context = fill_context(name(), *source, needles, request.length_tokens, count_tokens, [&](std::string_view sentence) {
      return contains_number(sentence, digits) || sentence.find("sequence of digits") != std::string_view::npos;
    });
    sample.evidence = {extent_of(needles, told)};
    sample.needle_offset = sample.evidence.front().offset;
    sample.question = "\n\nWhat is the sequence of digits?";
    sample.answer_prefix = " The sequence of digits is";
    sample.answers = {digits};
    return sample;
  }
};

}  // namespace

std::unique_ptr<Task> make_number_string(std::shared_ptr<const Haystack> haystack) {
  return std::make_unique<NumberString>(std::move(haystack));
}

}  // namespace namm::tasks
