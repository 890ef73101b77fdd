#include <algorithm>
#include <stdexcept>
#include <unordered_set>

#include "tasks/fill.hpp"
#include "tasks/fit.hpp"
#include "tasks/generators.hpp"
#include "tasks/needles.hpp"

namespace namm::tasks {
namespace {

constexpr std::size_t kCommon = 10;        ///< words that are asked for
constexpr std::size_t kSingleWords = 100;  ///< fewer than the key words of any split
constexpr std::size_t kMostWords = 15000;  ///< fewer than a quarter of the pairs of a split
constexpr std::size_t kManyTokens = 4096;  ///< from here on with RULER's full frequencies

/// Common words extraction (RULER, arXiv 2404.06654, "cwe"): a numbered list of words in random order, ten of which come 30
/// times and the others 3 times (below 4096 tokens 6 times and once, as there); the ten are asked for. Where ours differs: words
/// are nouns or, where these run out, pairs of nouns (RULER: a larger dictionary), and no solved example comes first. A longer
/// text has more of the other words. Score: `contains-all`.
class CommonWords final : public Task {
 public:
  std::string_view name() const override { return "cwe"; }
  int max_answer_tokens() const override { return 120; }

  Sample make(const SampleRequest& request, const TokenCounter& count_tokens) const override {
    Sample sample = start_sample(name(), request);
    sample.metric = "contains-all";
    const std::size_t length = request.length_tokens;
    std::vector<std::string> words = draw_words(request, kSingleWords);
    std::size_t rare = fitted(request, words, count_tokens);
    if (rare + kCommon == words.size()) {  // every word is used and there may still be room
      const std::vector<std::string> pairs = draw_words(request, std::min(kMostWords, kCommon + length));
      const std::size_t more = fitted(request, pairs, count_tokens);
      if (more > 0) words = pairs, rare = more;
    }
    sample.context = list_of(request, words, rare);
    const std::size_t tokens = count_tokens(sample.context);
    if (tokens > length) refuse_short(name(), length, "ten common words", tokens);
    if (rare + kCommon == kMostWords && length - tokens > length_slack(length))
      throw std::invalid_argument("task cwe: length_tokens must be at most " + std::to_string(tokens) +
                                  " for this model's vocabulary (there are no more words), is " + std::to_string(length) +
                                  "; lower it");
    sample.question = "\nQuestion: What are the 10 most common words in the above list?";
    sample.answer_prefix = " Answer: The top 10 words that appear most often in the list are:";
    std::string gold;
    for (std::size_t i = 0; i < kCommon; ++i) gold += (i == 0 ? "" : ", ") + words[i];
    sample.answers = {gold};
    return sample;
  }

 private:
  Rng stream(const SampleRequest& request, const char* purpose) const {
    return Rng(std::string("cwe/") + purpose, request.split, request.seed, request.index);
  }
  /// Different words of the split: single ones if `most` are enough, else pairs.
  std::vector<std::string> draw_words(const SampleRequest& request, std::size_t most) const {
    Rng rng = stream(request, "words");
    std::unordered_set<std::string> used;
    std::vector<std::string> words;
    while (words.size() < most) {
      std::string word = most <= kSingleWords ? draw_word(rng, request.split) : draw_word_pair(rng, request.split);
      if (used.insert(word).second) words.push_back(std::move(word));
    }
    return words;
  }
  std::size_t fitted(const SampleRequest& request, const std::vector<std::string>& words,
                     const TokenCounter& count_tokens) const {
    return fit_size(words.size() - kCommon, request.length_tokens / 20, request.length_tokens,
                    [&](std::size_t rare) { return count_tokens(list_of(request, words, rare)); });
  }
  std::string list_of(const SampleRequest& request, const std::vector<std::string>& words, std::size_t rare) const {
    const bool many = request.length_tokens >= kManyTokens;
    std::vector<std::size_t> order;
    for (std::size_t i = 0; i < kCommon + rare; ++i) order.insert(order.end(), i < kCommon ? (many ? 30 : 6) : (many ? 3 : 1), i);
    Rng rng = stream(request, "order");
    shuffle(order, rng);
    std::string text =
        "Below is a numbered list of words. In these words, some appear more often than others. Memorize the ones that appear "
        "most often.\n";
    for (std::size_t i = 0; i < order.size(); ++i)
      text.append(i == 0 ? "" : " ").append(std::to_string(i + 1)).append(". ").append(words[order[i]]);
    return text;
  }
};

}  // namespace

std::unique_ptr<Task> make_cwe(std::shared_ptr<const Haystack>) {
  return std::make_unique<CommonWords>();
}

}  // namespace namm::tasks
