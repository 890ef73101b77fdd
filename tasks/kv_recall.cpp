#include <unordered_set>

#include "tasks/generators.hpp"
#include "tasks/needles.hpp"

namespace namm::tasks {
namespace {

constexpr double kNeedleShare = 0.35;      ///< of the context's tokens
constexpr std::size_t kMostPairs = 20000;  ///< well below the key pairs of a split (about 60 000)
constexpr std::size_t kMostUnique = 1500;  ///< codes are different up to here, of the about 3000 of a split

/// Recall of one of many pairs (after the key-value retrieval of Liu et al., "Lost in the Middle", arXiv 2307.03172, and
/// RULER's multi-key needles, arXiv 2404.06654): about a third of the text are codes of word pairs, scattered over prose as
/// sentences; one is asked for. No token tells in advance which: a memory must keep many or guess.
class KvRecall final : public RetrievalTask {
 public:
  using RetrievalTask::RetrievalTask;
  std::string_view name() const override { return "kv-recall"; }
  int max_answer_tokens() const override { return 8; }

  Sample make(const SampleRequest& request, const TokenCounter& count_tokens) const override {
    Rng rng = needle_rng(request);
    std::vector<Needle> needles;
    std::vector<std::string> keys, codes;
    std::unordered_set<std::string> used_keys, used_codes;
    const auto wanted = static_cast<std::size_t>(kNeedleShare * static_cast<double>(request.length_tokens));
    for (std::size_t tokens = 0; keys.size() < kMostPairs;) {
      std::string key = draw_word_pair(rng, request.split);
      std::string code = draw_number(rng, request.split, 4);
      const double depth = rng.fraction();
      if (used_keys.contains(key) || (used_codes.contains(code) && used_codes.size() < kMostUnique)) continue;
      std::string text = "The code of " + key + " is " + code + ".";
      tokens += count_tokens(" " + text);
      if (tokens > wanted && !keys.empty()) break;
      used_keys.insert(key);
      used_codes.insert(code);
      needles.push_back({std::move(text), depth});
      keys.push_back(std::move(key));
      codes.push_back(std::move(code));
    }
    const std::size_t asked = rng.below(keys.size());
    const std::string asked_text = needles[asked].text;

    const auto source = filler(request);
    Sample sample = start(request);
    sample.context = fill_context(name(), *source, needles, request.length_tokens, count_tokens, [&](std::string_view sentence) {
      return contains_number(sentence, codes[asked]) || sentence.find("The code of") != std::string_view::npos;
    });
    sample.evidence = {extent_of(needles, asked_text)};
    sample.needle_offset = sample.evidence.front().offset;
    sample.question = "\n\nWhat is the code of " + keys[asked] + "?";
    sample.answer_prefix = " The code of " + keys[asked] + " is";
    sample.answers = {codes[asked]};
    return sample;
  }
};

}  // namespace

std::unique_ptr<Task> make_kv_recall(std::shared_ptr<const Haystack> haystack) {
  return std::make_unique<KvRecall>(std::move(haystack));
}

}  // namespace namm::tasks
