#include <array>

#include "tasks/generators.hpp"
#include "tasks/needles.hpp"
#include "tasks/scores.hpp"

namespace namm::tasks {
namespace {

enum class AnswerKind { word, pair, number };

/// Something the user tells about himself; {} stands for the value.
struct Fact {
  std::string_view told, question, answer_start;
  AnswerKind kind;
  int digits;
};
constexpr std::array kFacts = {
    Fact{"The code of my locker is {}.", "What is the code of my locker?", "The code of your locker is", AnswerKind::number, 4},
    Fact{"My room at the hotel has the number {}.", "Which number does my room at the hotel have?",
         "Your room at the hotel has the number", AnswerKind::number, 3},
    Fact{"My membership number at the library is {}.", "What is my membership number at the library?",
         "Your membership number at the library is", AnswerKind::number, 6},
    Fact{"I keep the spare key under the {}.", "Under what do I keep the spare key?", "You keep the spare key under the",
         AnswerKind::word, 0},
    Fact{"The password of my computer is {}.", "What is the password of my computer?", "The password of your computer is",
         AnswerKind::pair, 0},
    Fact{"For her birthday my sister wants a picture of the {}.", "What does my sister want a picture of for her birthday?",
         "For her birthday your sister wants a picture of the", AnswerKind::word, 0},
};
constexpr std::size_t kTold = 4;  ///< facts of one chat
constexpr std::array<std::string_view, 3> kReplies = {"Thank you, I will remember that.", "Good to know.", "I have noted it."};

/// Turns of the chat made of the filler's sentences.
class Turns final : public SentenceSource {
 public:
  explicit Turns(std::unique_ptr<SentenceSource> sentences) : sentences_(std::move(sentences)) {}
  Sentence next() override {
    const std::string said = sentences_->next().text;
    const std::string reply = sentences_->next().text;  // before the rest of what is said: prompts are published
    return turn(said + " " + sentences_->next().text, reply);
  }
  Sentence next_short() override {
    const std::string said = sentences_->next_short().text;
    return turn(said, sentences_->next_short().text);
  }

 private:
  static Sentence turn(const std::string& said, const std::string& reply) {
    return {"User: " + said + "\nAssistant: " + reply, false, true};
  }
  std::unique_ptr<SentenceSource> sentences_;
};

/// Multi-turn recall: a chat in which the user tells four facts in the first turns, then the two talk of other things, and one
/// of the facts is asked for in the last turn. No published definition; after the memory tests of long dialogues (LoCoMo, arXiv
/// 2402.17753). The chat is one text with "User:" and "Assistant:"; a model's template wraps the whole. Score: `prefix`.
class MultiTurn final : public RetrievalTask {
 public:
  using RetrievalTask::RetrievalTask;
  std::string_view name() const override { return "multi-turn"; }

  Sample make(const SampleRequest& request, const TokenCounter& count_tokens) const override {
    Sample sample = start(request);
    Rng rng = needle_rng(request);
    std::vector<const Fact*> facts;
    for (const Fact& fact : kFacts) facts.push_back(&fact);
    shuffle(facts, rng);
    std::vector<Needle> needles;
    std::vector<std::string> values;
    for (std::size_t i = 0; i < kTold; ++i) {
      values.push_back(draw(*facts[i], rng, request.split, values));
      std::string told(facts[i]->told);
      told.replace(told.find("{}"), 2, values[i]);
      std::string text = "User: " + told;
      text.append("\nAssistant: ").append(kReplies[rng.below(kReplies.size())]);
      needles.push_back({std::move(text), 0.0, 0, true});
    }
    const std::size_t asked = rng.below(kTold);
    const std::string asked_text = needles[asked].text;

    Turns turns(filler(request));
    sample.context = fill_context(name(), turns, needles, request.length_tokens, count_tokens, [&](std::string_view turn) {
      for (const std::string& value : values)
        if (score_contains({&value, 1}, turn) > 0) return true;
      return false;
    });
    sample.evidence = {extent_of(needles, asked_text)};
    sample.needle_offset = sample.evidence.front().offset;
    sample.question = "\nUser: " + std::string(facts[asked]->question);
    sample.answer_prefix = "\nAssistant: " + std::string(facts[asked]->answer_start);
    sample.answers = {values[asked]};
    return sample;
  }

 private:
  static std::string draw(const Fact& fact, Rng& rng, Split split, const std::vector<std::string>& used) {
    for (;;) {
      std::string value = fact.kind == AnswerKind::number ? draw_number(rng, split, fact.digits)
                          : fact.kind == AnswerKind::pair ? draw_word_pair(rng, split)
                                                          : draw_word(rng, split);
      bool fresh = true;  // nor part of another one's: "anchor" of "anchor-lamp", "key" of "spare key"
      for (const Fact& any : kFacts) fresh = fresh && any.told.find(value) == std::string_view::npos;
      for (const std::string& other : used)
        fresh = fresh && other.find(value) == std::string::npos && value.find(other) == std::string::npos;
      if (fresh) return value;
    }
  }
};

}  // namespace

std::unique_ptr<Task> make_multi_turn(std::shared_ptr<const Haystack> haystack) {
  return std::make_unique<MultiTurn>(std::move(haystack));
}

}  // namespace namm::tasks
