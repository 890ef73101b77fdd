#include <algorithm>
#include <unordered_set>

#include "tasks/fill.hpp"
#include "tasks/fit.hpp"
#include "tasks/generators.hpp"
#include "tasks/needles.hpp"

namespace namm::tasks {
namespace {

constexpr double kZeta2 = 1.6449340668482264;  ///< zeta(2) = pi^2 / 6

/// Frequent words extraction (RULER, arXiv 2404.06654, "fwe"): random words of six letters in random order, the k-th of them
/// floor(n / (k^2 zeta(2))) times; the first is written "..." and is noise, the next three are asked for. RULER's vocabulary
/// has a fiftieth of the context's tokens. Where ours differs: a text so short that the third and the fourth word are equally
/// frequent is refused. Score: `contains-all`.
class FrequentWords final : public Task {
 public:
  std::string_view name() const override { return "fwe"; }
  int max_answer_tokens() const override { return 50; }

  Sample make(const SampleRequest& request, const TokenCounter& count_tokens) const override {
    Sample sample = start_sample(name(), request);
    sample.metric = "contains-all";
    const std::size_t length = request.length_tokens;
    Rng rng = stream(request, "words");
    std::vector<std::string> words{"..."};
    std::unordered_set<std::string> used;
    const std::size_t vocabulary = std::clamp<std::size_t>(length / 50, 5, 4096);
    while (words.size() < vocabulary) {
      std::string word = draw_letters(rng, request.split, 6, 'a');
      if (used.insert(word).second) words.push_back(std::move(word));
    }
    const std::size_t n =
        fit_size(length * 2, length / 4, length, [&](std::size_t size) { return count_tokens(text_of(request, words, size)); });
    std::size_t least = n;
    while (times(least, 4) <= times(least, 5)) ++least;
    if (least > n) refuse_short(name(), length, "most frequent words", count_tokens(text_of(request, words, least)));
    sample.context = text_of(request, words, n);
    sample.question =
        "\nQuestion: Do not provide any explanation. Please ignore the dots '....'. What are the three most frequently appeared "
        "words in the above coded text?";
    sample.answer_prefix = " Answer: According to the coded text above, the three most frequently appeared words are:";
    sample.answers = {words[1] + ", " + words[2] + ", " + words[3]};
    return sample;
  }

 private:
  static Rng stream(const SampleRequest& request, const char* purpose) {
    return Rng(std::string("fwe/") + purpose, request.split, request.seed, request.index);
  }
  /// How often the word of this rank, from 1, comes among `n` words.
  static std::size_t times(std::size_t n, std::size_t rank) {
    return static_cast<std::size_t>(static_cast<double>(n) / (static_cast<double>(rank * rank) * kZeta2));
  }
  static std::string text_of(const SampleRequest& request, const std::vector<std::string>& words, std::size_t n) {
    std::vector<std::size_t> order;
    for (std::size_t i = 0; i < words.size(); ++i) order.insert(order.end(), times(n, i + 1), i);
    Rng rng = stream(request, "order");
    shuffle(order, rng);
    std::string text =
        "Read the following coded text and track the frequency of each coded word. Find the three most frequently appeared coded "
        "words.";
    for (const std::size_t word : order) text.append(" ").append(words[word]);
    return text;
  }
};

}  // namespace

std::unique_ptr<Task> make_fwe(std::shared_ptr<const Haystack>) {
  return std::make_unique<FrequentWords>();
}

}  // namespace namm::tasks
