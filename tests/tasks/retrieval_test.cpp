#include <algorithm>
#include <cctype>
#include <set>
#include <stdexcept>

#include "tasks/fill.hpp"
#include "tasks/needles.hpp"
#include "tests/check.hpp"
#include "tests/tasks/samples.hpp"

using namespace namm::tasks;
using namespace namm::tasks::testing;

namespace {

/// Merges up to four letters, but not over a change of case; a number is one token per digit.
std::size_t count_uneven(std::string_view text) {
  std::size_t tokens = 0, run = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    const bool joins =
        i > 0 && std::isalpha(c) && std::islower(c) && std::isalpha(static_cast<unsigned char>(text[i - 1])) && run < 4;
    run = joins ? run + 1 : 1;
    tokens += !joins;
  }
  return tokens;
}

}  // namespace

TEST_CASE("Contexts have the length that was asked for", "[tasks]") {
  const std::pair<const char*, TokenCounter> counters[] = {{"words", approximate_counter("words")},
                                                           {"chars/4", approximate_counter("chars/4")},
                                                           {"chars", approximate_counter("chars")},
                                                           {"pairs", count_pairs},
                                                           {"uneven", count_uneven}};
  for (const TaskEntry& entry : task_registry().first(3)) {
    const auto task = make_task(entry.name);
    for (const auto& [name, count] : counters)
      for (const std::size_t length : {100, 128, 250, 512, 1000, 2048, 4000, 8000})
        for (std::uint64_t index = 0; index < 20; ++index) {
          INFO(entry.name << " " << name << " " << length << " " << index);
          const std::size_t tokens = count(task->make({Split::train, 5, index, length}, count).context);
          REQUIRE(tokens <= length);
          REQUIRE(tokens + std::max<std::size_t>(16, length / 50) >= length);
        }
  }
}

TEST_CASE("A length too short for the needle is refused with the least length", "[tasks]") {
  const TokenCounter words = approximate_counter("words");
  for (const TaskEntry& entry : task_registry().first(3)) {
    const auto task = make_task(entry.name);
    CHECK(message_of([&] {
            task->make({Split::train, 0, 0, 5}, words);
          }).starts_with("task " + std::string(entry.name) + ": length_tokens 5 is too short to hold the needle; use at least"));
    CHECK_THROWS_AS(task->make({Split::train, 0, 0, 0}, words), std::invalid_argument);
  }
}

TEST_CASE("The needle is where the sample says, and nowhere else", "[tasks]") {
  for (const TaskEntry& entry : task_registry().first(3))
    for (const Split split : kSplits)
      for (std::uint64_t index = 0; index < 60; ++index) {
        const Sample sample = make_sample(entry.name, split, 11, index, 400);
        INFO(sample.id);
        const std::string& answer = sample.answers.at(0);
        REQUIRE(sample.answers.size() == 1);
        REQUIRE(answer.front() != ' ');
        std::string needle, question, prefix;
        if (entry.name == "passkey") {
          needle = "The pass key is " + answer + ". Remember it. " + answer + " is the pass key.";
          question = "\n\nWhat is the pass key?";
          prefix = " The pass key is";
          REQUIRE(answer.size() == 5);
        } else if (entry.name == "niah-single") {
          const std::string word = between(sample.question, "number for ", " mentioned").at(0);
          needle = "One of the special magic numbers for " + word + " is: " + answer + ".";
          question = "\n\nWhat is the special magic number for " + word + " mentioned in the text?";
          prefix = " The special magic number for " + word + " mentioned in the text is:";
          REQUIRE(answer.size() == 7);
        } else {
          const std::string key = between(sample.question, "code of ", "?").at(0);
          needle = "The code of " + key + " is " + answer + ".";
          question = "\n\nWhat is the code of " + key + "?";
          prefix = " The code of " + key + " is";
          REQUIRE(answer.size() == 4);
        }
        REQUIRE(sample.question == question);
        REQUIRE(sample.answer_prefix == prefix);
        REQUIRE(sample.context.substr(sample.needle_offset, needle.size()) == needle);
        std::string rest = sample.context;
        rest.erase(sample.needle_offset, needle.size());
        REQUIRE_FALSE(contains_number(rest, answer));
        REQUIRE(continuation(sample, answer) == " " + answer);
        REQUIRE(make_task(entry.name)->score(sample, continuation(sample, answer) + ".\n") == 1.0);
      }
}

TEST_CASE("Needles lie at every depth", "[tasks]") {
  for (const TaskEntry& entry : task_registry().first(3)) {
    int tenths[10] = {};
    for (std::uint64_t index = 0; index < 500; ++index) {
      const Sample sample = make_sample(entry.name, Split::train, 2, index, 1000);
      ++tenths[10 * sample.needle_offset / sample.context.size()];
    }
    INFO(entry.name);
    for (const int count : tenths) CHECK((count > 20 && count < 95));  // 50 expected; 4.5 standard deviations and more
  }
}

TEST_CASE("Key-value recall: many different keys and codes, a third of the text", "[tasks]") {
  const TokenCounter words = approximate_counter("words");
  for (std::uint64_t index = 0; index < 30; ++index) {
    const Sample sample = make_sample("kv-recall", Split::train, 6, index, 1000);
    const std::vector<std::string> pairs = between(sample.context, "The code of ", ".");
    CHECK((pairs.size() >= 25 && pairs.size() <= 40));
    std::set<std::string> keys, codes;
    std::size_t tokens = 0;
    for (const std::string& pair : pairs) {
      const std::size_t is = pair.find(" is ");
      keys.insert(pair.substr(0, is));
      codes.insert(pair.substr(is + 4));
      tokens += words(" The code of " + pair + ".");
    }
    CHECK(keys.size() == pairs.size());
    CHECK(codes.size() == pairs.size());
    const double share = static_cast<double>(tokens) / static_cast<double>(words(sample.context));
    CHECK(share == Approx(0.35).margin(0.03));
  }
}

TEST_CASE("Key-value recall of great length", "[tasks]") {
  const Sample sample = make_sample("kv-recall", Split::train, 6, 0, 100'000);
  const std::vector<std::string> pairs = between(sample.context, "The code of ", " is ");
  CHECK(pairs.size() > 3000);
  CHECK(std::set<std::string>(pairs.begin(), pairs.end()).size() == pairs.size());
}

TEST_CASE("Splits share no needle and no text", "[tasks]") {
  for (const TaskEntry& entry : task_registry().first(3)) {
    INFO(entry.name);
    std::set<std::string> needles[3], paragraphs[3];
    for (const Split split : kSplits) {
      const auto s = static_cast<std::size_t>(split);
      for (std::uint64_t seed = 0; seed < 3; ++seed)
        for (std::uint64_t index = 0; index < 60; ++index) {
          const Sample sample = make_sample(entry.name, split, seed, index, 600);
          needles[s].insert(sample.answers.at(0));
          for (const char* before : {"The code of ", "numbers for "})
            for (const std::string& key : between(sample.context, before, " is")) needles[s].insert(key);
          for (const std::string& paragraph : between("\n\n" + sample.context, "\n\n", "\n\n"))
            if (paragraph.size() > 150) paragraphs[s].insert(paragraph);
        }
      for (const std::string& needle : needles[s]) REQUIRE(split_of_needle(needle) == split);
    }
    for (const std::size_t a : {0, 1})
      for (std::size_t b = a + 1; b < 3; ++b) {
        for (const std::string& needle : needles[a]) REQUIRE_FALSE(needles[b].contains(needle));
        for (const std::string& paragraph : paragraphs[a]) REQUIRE_FALSE(paragraphs[b].contains(paragraph));
      }
  }
}

TEST_CASE("Needle words are different and each split has many", "[tasks]") {
  std::set<std::string_view> words;
  std::size_t members[3] = {};
  for (const std::string_view word : key_words()) {
    CHECK(words.insert(word).second);
    ++members[static_cast<std::size_t>(split_of_needle(word))];
  }
  CHECK(words.size() >= 300);
  for (const std::size_t count : members) CHECK(count >= 100);
  for (const int digits : {2, 4, 5, 7, 18}) {
    Rng rng("digits", Split::test, 0, 0);
    for (int i = 0; i < 50; ++i) {
      const std::string number = draw_number(rng, Split::test, digits);
      CHECK(number.size() == static_cast<std::size_t>(digits));
      CHECK(number.front() != '0');
    }
  }
}

TEST_CASE("An unknown task is answered with the nearest names", "[tasks]") {
  CHECK_THROWS_WITH(make_task("pass-key"), "task: must be a registered name, is 'pass-key'; nearest: passkey");
  CHECK_THROWS_AS(make_task(""), std::invalid_argument);
  CHECK_THROWS_AS(make_task(std::string(1 << 20, 'x')), std::invalid_argument);
  CHECK_THROWS_WITH(parse_split("dev"), "split must be train, validation or test, got 'dev'");
  for (const Split split : kSplits) CHECK(parse_split(to_string(split)) == split);
}
