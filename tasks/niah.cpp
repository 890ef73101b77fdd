#include "tasks/niah.hpp"

#include <unordered_set>

#include "tasks/needles.hpp"

namespace namm::tasks {
namespace {

using Kind = NiahForm::Kind;

std::string draw(Kind kind, Rng& rng, Split split) {
  switch (kind) {
    case Kind::word:
      return draw_word_pair(rng, split);
    case Kind::number:
      return draw_number(rng, split, 7);
    case Kind::uuid:
      break;
  }
  return draw_uuid(rng, split);
}

std::string plural_of(Kind kind) {
  return kind == Kind::uuid ? "uuids" : "numbers";
}
std::string needle_text(Kind value_kind, const std::string& key, const std::string& value) {
  return "One of the special magic " + plural_of(value_kind) + " for " + key + " is: " + value + ".";
}

/// Further needles as filler. Keys differ as long as there are enough of them.
class NeedleLines final : public SentenceSource {
 public:
  NeedleLines(const NiahForm& form, Split split, Rng rng) : form_(form), split_(split), rng_(std::move(rng)) {}
  Sentence next() override {
    constexpr std::size_t kMostDifferent = 20000;
    std::string key = draw(form_.key, rng_, split_);
    while (keys_.size() < kMostDifferent && !keys_.insert(key).second) key = draw(form_.key, rng_, split_);
    return {needle_text(form_.value, key, draw(form_.value, rng_, split_)), false, true};
  }
  bool may_be_cut() const override { return false; }

 private:
  const NiahForm& form_;
  Split split_;
  Rng rng_;
  std::unordered_set<std::string> keys_;
};

/// "a", "a, and b", "a, b, and c"
std::string enumerated(const std::vector<std::string>& words) {
  std::string text;
  for (std::size_t i = 0; i < words.size(); ++i) text += (i == 0 ? "" : i + 1 == words.size() ? ", and " : ", ") + words[i];
  return text;
}

class Niah final : public RetrievalTask {
 public:
  Niah(const NiahForm& form, std::shared_ptr<const Haystack> haystack)
      : RetrievalTask(std::move(haystack), form.filler == NiahForm::Filler::repeated ? repeated_haystack() : prose_haystack()),
        form_(form) {}
  std::string_view name() const override { return form_.name; }
  int max_answer_tokens() const override {
    return 8 + form_.queries * form_.values_per_key * (form_.value == Kind::uuid ? 40 : 10);
  }

  Sample make(const SampleRequest& request, const TokenCounter& count_tokens) const override {
    Sample sample = start(request);
    sample.metric = "contains-all";
    const bool one = form_.queries * form_.values_per_key == 1;
    const std::string plural = plural_of(form_.value), noun = one ? plural.substr(0, plural.size() - 1) : plural;
    const bool lines = form_.filler == NiahForm::Filler::needles;

    Rng rng = needle_rng(request);
    std::vector<Needle> needles{{(one ? "A special magic " + noun + " is" : "Some special magic " + noun + " are") +
                                     " hidden within the following text. Make sure to memorize it. I will quiz you about the " +
                                     noun + " afterwards.",
                                 0.0, 0, true}};
    std::vector<std::string> asked_keys, asked_texts, answers;
    std::unordered_set<std::string> used;
    for (int k = 0; k < form_.keys; ++k) {
      std::string key = draw(form_.key, rng, request.split);
      while (!used.insert(key).second) key = draw(form_.key, rng, request.split);
      const bool asked = k < form_.queries;  // the first ones: their depths are random anyway
      if (asked) asked_keys.push_back(key);
      for (int v = 0; v < form_.values_per_key; ++v) {
        std::string value = draw(form_.value, rng, request.split);
        while (!used.insert(value).second) value = draw(form_.value, rng, request.split);
        needles.push_back({needle_text(form_.value, key, value), rng.fraction(), 0, lines});
        if (!asked) continue;
        asked_texts.push_back(needles.back().text);
        answers.push_back(std::move(value));
      }
    }

    std::unique_ptr<SentenceSource> source;
    if (lines)
      source = std::make_unique<NeedleLines>(form_, request.split,
                                             Rng(std::string(name()) + "/filler", request.split, request.seed, request.index));
    else
      source = filler(request);
    sample.context = fill_context(name(), *source, needles, request.length_tokens, count_tokens, [&](std::string_view sentence) {
      if (!lines && sentence.find("special magic") != std::string_view::npos) return true;
      for (const std::string& word : used)
        if (sentence.find(word) != std::string_view::npos) return true;
      return false;
    });
    for (const std::string& text : asked_texts) sample.evidence.push_back(extent_of(needles, text));
    sample.needle_offset = sample.evidence.front().offset;

    const std::string keys = enumerated(asked_keys);
    sample.question = (one ? "\nWhat is the special magic " : "\nWhat are all the special magic ") + noun + " for " + keys +
                      " mentioned in the provided text?";
    sample.answer_prefix =
        " The special magic " + noun + " for " + keys + " mentioned in the provided text " + (one ? "is" : "are");
    std::string gold;
    for (const std::string& value : answers) gold += (gold.empty() ? "" : ", ") + value;
    sample.answers = {gold};
    return sample;
  }

 private:
  NiahForm form_;
};

}  // namespace

std::unique_ptr<Task> make_niah(const NiahForm& form, std::shared_ptr<const Haystack> haystack) {
  return std::make_unique<Niah>(form, std::move(haystack));
}

}  // namespace namm::tasks
