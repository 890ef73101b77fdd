#include <nlohmann/json.hpp>
#include <set>
#include <stdexcept>

#include "tasks/haystack.hpp"
#include "tests/check.hpp"
#include "tests/tasks/samples.hpp"

using namespace namm::tasks;
using namespace namm::tasks::testing;

namespace {

std::vector<std::string> paragraphs_of(const Sample& sample) {
  std::vector<std::string> paragraphs;
  for (const std::string& paragraph : between(sample.context + "\n\n", "\n\nParagraph ", "\n\n"))
    paragraphs.push_back(paragraph.substr(paragraph.find(": ") + 2));
  return paragraphs;
}

}  // namespace

TEST_CASE("Passage retrieval: the sentence is in that paragraph alone", "[tasks]") {
  std::set<std::string> answers;
  for (const std::size_t length : {500, 1000, 6000})
    for (std::uint64_t index = 0; index < 30; ++index) {
      const Sample sample = make_sample("passage-retrieval", Split::test, 0, index, length);
      const auto paragraphs = paragraphs_of(sample);
      CHECK(paragraphs.size() == std::min<std::size_t>(length / 100, 30));
      const std::string sentence = between(sample.question, "one paragraph.\n\n", "\n\n").at(0);
      CHECK(sentence.size() >= 30);
      for (std::size_t i = 0; i < paragraphs.size(); ++i)
        CHECK((paragraphs[i].find(sentence) != std::string::npos) == (sample.answers[0] == "Paragraph " + std::to_string(i + 1)));
      const auto [offset, bytes] = sample.evidence.at(0);
      CHECK(sample.context.substr(offset, bytes).find(sentence) != std::string::npos);
      answers.insert(sample.answers[0]);
    }
  CHECK(answers.size() > 20);
}

TEST_CASE("Passage count: as many different paragraphs as the answer says", "[tasks]") {
  std::set<std::string> answers;
  std::size_t repeated = 0;
  for (std::uint64_t index = 0; index < 40; ++index) {
    const Sample sample = make_sample("passage-count", Split::train, 0, index, 900);
    const auto paragraphs = paragraphs_of(sample);
    CHECK(paragraphs.size() == 15);
    const std::set<std::string> different(paragraphs.begin(), paragraphs.end());
    CHECK(sample.answers[0] == std::to_string(different.size()));
    answers.insert(sample.answers[0]);
    repeated += different.size() < paragraphs.size();
  }
  CHECK(answers.size() > 7);
  CHECK(repeated > 20);
}

TEST_CASE("Passages need filler that does not repeat itself", "[tasks]") {
  for (const char* name : {"passage-count", "passage-retrieval"}) {
    const auto task = make_task(name, make_haystack("repeated"));
    const std::string message = message_of([&] { task->make({Split::train, 0, 1, 2000}, approximate_counter("words")); });
    INFO(message);
    CHECK(message.starts_with("task " + std::string(name) + ": the haystack must "));
    CHECK(message.ends_with("; use prose or a text file"));
  }
}

TEST_CASE("A chat: facts in the first turns, one asked for in the last", "[tasks]") {
  std::set<std::string> questions;
  for (std::uint64_t index = 0; index < 60; ++index) {
    const Sample sample = make_sample("multi-turn", Split::test, 0, index, 700);
    INFO(sample.id);
    const auto turns = between("\n" + sample.context, "\nUser: ", "\n");
    CHECK(turns.size() > 8);
    bool told = false;
    for (std::size_t i = 0; i < 4; ++i) told = told || turns[i].find(" " + sample.answers[0] + ".") != std::string::npos;
    CHECK(told);
    CHECK(sample.needle_offset < sample.context.size() / 2);
    CHECK(sample.question.starts_with("\nUser: "));
    CHECK(sample.answer_prefix.starts_with("\nAssistant: "));
    questions.insert(sample.question);
  }
  CHECK(questions.size() == 6);
}

TEST_CASE("City facts: twelve facts about four cities", "[tasks]") {
  for (std::uint64_t index = 0; index < 20; ++index) {
    const Sample sample = make_sample("city-facts", Split::test, 0, index, 900);
    std::size_t facts = 0;
    std::set<std::string> cities;
    for (const char* start : {"The emblem of ", "The best-known product of ", "The main square of ", "The city of "})
      for (const std::string& rest : between(sample.context, start, " ")) {
        ++facts;
        cities.insert(rest);
      }
    CHECK(facts == 12);
    CHECK(cities.size() == 4);
    // the answer's first words are those of the sentence that tells it
    const auto [offset, bytes] = sample.evidence.at(0);
    CHECK(sample.context.substr(offset, bytes) == sample.answer_prefix.substr(1) + " " + sample.answers[0] + ".");
  }
}

TEST_CASE("Plain text: the answer is what comes next", "[tasks]") {
  std::string text;
  for (int i = 0; i < 3000; ++i) text.append("w").append(std::to_string(i)).append(i % 9 == 8 ? ". " : " ");
  const TemporaryFile file("numbered.txt", text);
  const auto task = make_task("text", make_haystack(file.name()));
  for (std::uint64_t index = 0; index < 20; ++index) {
    const Sample sample = task->make({Split::train, 0, index, 500}, approximate_counter("words"));
    CHECK(sample.question.empty());
    const std::size_t at = text.find(sample.answers[0]);
    REQUIRE(at != std::string::npos);
    if (at > 4000)  // the split's third may start over in the middle
      CHECK(text.substr(0, at - 1).ends_with(sample.context.substr(sample.context.size() - 1000)));
    CHECK(between(" " + sample.answers[0] + " ", " ", " ").size() == 33);  // 32 words and the end
  }
}

TEST_CASE("Number retrieval: ten digits with repetitions", "[tasks]") {
  for (std::uint64_t index = 0; index < 40; ++index) {
    const Sample sample = make_sample("number-string", Split::test, 0, index);
    const std::string& digits = sample.answers[0];
    CHECK(digits.size() == 10);
    int runs = 1;
    for (std::size_t i = 1; i < digits.size(); ++i) runs += digits[i] != digits[i - 1];
    CHECK(runs <= 5);
    CHECK(sample.context.find("The sequence of digits is " + digits + ". Remember it. " + digits +
                              " is the sequence of digits.") == sample.needle_offset);
  }
}

TEST_CASE("Key-value retrieval: a valid object with the asked pair", "[tasks]") {
  for (std::uint64_t index = 0; index < 20; ++index) {
    const Sample sample = make_sample("kv-retrieval", Split::test, 0, index, 2000);
    const auto object = nlohmann::json::parse(sample.context.substr(sample.context.find('{')));
    CHECK(object.size() > 20);
    const std::string key = between(sample.question, "Key: \"", "\"").at(0);
    CHECK(sample.answers == std::vector<std::string>{object.at(key).dump(), object.at(key)});
  }
}
