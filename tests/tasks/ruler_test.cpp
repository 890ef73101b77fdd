// The RULER family (arXiv 2404.06654) against its definition.
#include <map>
#include <set>

#include "tasks/needles.hpp"
#include "tasks/scores.hpp"
#include "tests/check.hpp"
#include "tests/tasks/samples.hpp"

using namespace namm::tasks;
using namespace namm::tasks::testing;

namespace {

struct Form {
  const char* task;
  std::size_t keys, values_per_key, queries;
  const char* noun;
  bool only_needles;
};
constexpr Form kForms[] = {
    {"niah-single-1", 1, 1, 1, "number", false},   {"niah-single-2", 1, 1, 1, "number", false},
    {"niah-single-3", 1, 1, 1, "uuid", false},     {"niah-multikey-1", 4, 1, 1, "number", false},
    {"niah-multikey-2", 0, 1, 1, "number", true},  {"niah-multikey-3", 0, 1, 1, "uuid", true},
    {"niah-multivalue", 1, 4, 1, "number", false}, {"niah-multiquery", 4, 1, 4, "number", false},
};

bool is_uuid4(const std::string& text) {
  if (text.size() != 36) return false;
  for (std::size_t i = 0; i < 36; ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash ? text[i] != '-' : std::string("0123456789abcdef").find(text[i]) == std::string::npos) return false;
  }
  return text[14] == '4' && std::string("89ab").find(text[19]) != std::string::npos;
}

}  // namespace

TEST_CASE("Needle in a haystack: keys, values and questions as RULER has them", "[tasks]") {
  for (const Form& form : kForms)
    for (std::uint64_t index = 0; index < 20; ++index) {
      const Sample sample = make_sample(form.task, Split::test, 1, index, 800);
      INFO(sample.id);
      const bool one = form.values_per_key * form.queries == 1;
      const std::string noun = std::string(form.noun) + (one ? "" : "s");
      CHECK(sample.context.starts_with((one ? "A special magic " + noun + " is" : "Some special magic " + noun + " are") +
                                       " hidden within the following text. Make sure to memorize it. I will quiz you about the " +
                                       noun + " afterwards.\n"));
      std::multimap<std::string, std::string> told;
      std::set<std::string> keys, values;
      for (const std::string& needle :
           between(sample.context, "One of the special magic " + std::string(form.noun) + "s for ", ".")) {
        const std::size_t is = needle.find(" is: ");
        told.emplace(needle.substr(0, is), needle.substr(is + 5));
        keys.insert(needle.substr(0, is));
        values.insert(needle.substr(is + 5));
      }
      if (form.only_needles) {
        CHECK(keys.size() > 5);
        CHECK(between(sample.context, "\n", "\n").size() == told.size());  // nothing else, one a line
      } else {
        CHECK(keys.size() == form.keys);
      }
      CHECK(told.size() == keys.size() * form.values_per_key);
      CHECK(values.size() == told.size());
      for (const std::string& value : values)
        CHECK((std::string(form.noun) == "uuid" ? is_uuid4(value) : value.size() == 7 && numbers_in(value).size() == 1));

      CHECK(sample.metric == "contains-all");
      CHECK(sample.question.starts_with(one ? "\nWhat is the special magic " : "\nWhat are all the special magic "));
      CHECK(sample.question.ends_with(" mentioned in the provided text?"));
      std::multiset<std::string> asked, gold;
      const std::string question = between(sample.question, " for ", " mentioned").at(0);
      for (const std::string& key : keys)
        if ((", " + question + ",").find(" " + key + ",") != std::string::npos)
          for (auto [at, end] = told.equal_range(key); at != end; ++at) asked.insert(at->second);
      for (const std::string& value : between(", " + sample.answers[0], ", ", ",")) gold.insert(value);
      CHECK(gold == asked);
      CHECK(gold.size() == form.queries * form.values_per_key);
      CHECK(sample.answer_prefix ==
            " The special magic " + noun + " for " + question + " mentioned in the provided text " + (one ? "is" : "are"));
    }
}

TEST_CASE("The filler of a needle task", "[tasks]") {
  const std::string repeated = "The grass is green. The sky is blue. The sun is yellow.";
  CHECK(make_sample("niah-single-1", Split::train, 0, 0).context.find(repeated) != std::string::npos);
  CHECK(make_sample("vt", Split::train, 0, 0).context.find(repeated) != std::string::npos);
  CHECK(make_sample("niah-single-2", Split::train, 0, 0).context.find(repeated) == std::string::npos);
}

TEST_CASE("Variable tracking: a chain in order, all of it asked for", "[tasks]") {
  for (std::uint64_t index = 0; index < 40; ++index) {
    const Sample sample = make_sample("vt", Split::test, 3, index, 900);
    INFO(sample.id);
    const std::string value = between(sample.question, "assigned the value ", " in the text").at(0);
    std::vector<std::string> chain;
    std::string source = value;
    std::size_t example_lines = 0;
    for (const std::string& line : between(sample.context, "VAR ", "\n")) {
      const std::size_t equals = line.find(" = ");
      if (equals == std::string::npos) continue;  // the right side of another line
      const std::string name = line.substr(0, equals), right = line.substr(equals + 3);
      if (name.size() == 3) {
        ++example_lines;
        continue;
      }
      CHECK(right == (chain.empty() ? value : "VAR " + chain.back()));
      chain.push_back(name);
      CHECK(split_of_needle(name) == Split::test);
    }
    CHECK(example_lines == 5);
    CHECK(chain.size() == 5);
    CHECK(std::set<std::string>(chain.begin(), chain.end()).size() == 5);
    CHECK(between(", " + sample.answers[0], ", ", ",") == chain);
    // the example is solved with its own value
    const std::string example = between(sample.context, "5 variables are assigned the value ", ",").at(0);
    CHECK(example != value);
    CHECK(sample.context.find("= " + example + "\n") != std::string::npos);
  }
}

TEST_CASE("Common words: ten words of a numbered list come more often than all others", "[tasks]") {
  for (const std::size_t length : {500, 700, 3000, 4096, 20'000}) {
    const Sample sample = make_sample("cwe", Split::validation, 3, 1, length);
    INFO(length);
    std::map<std::string, std::size_t> times;
    std::size_t number = 0;
    const std::string list = sample.context.substr(sample.context.find('\n') + 1);
    for (std::size_t at = 0; at < list.size();) {
      const std::string head = std::to_string(++number) + ". ";
      REQUIRE(list.compare(at, head.size(), head) == 0);
      const std::size_t end = std::min(list.find(' ', at + head.size()), list.size());
      ++times[list.substr(at + head.size(), end - at - head.size())];
      at = end + 1;
    }
    const std::size_t often = length >= 4096 ? 30 : 6, seldom = length >= 4096 ? 3 : 1;
    std::set<std::string> common;
    for (const auto& [word, count] : times) {
      CHECK((count == often || count == seldom));
      if (count == often) common.insert(word);
    }
    CHECK(common.size() == 10);
    CHECK(times.size() > 15);
    const std::vector<std::string> gold = between(", " + sample.answers[0], ", ", ",");
    CHECK(std::set<std::string>(gold.begin(), gold.end()) == common);
  }
}

TEST_CASE("Frequent words: the three commonest after the dots, in order", "[tasks]") {
  for (const std::size_t length : {500, 2000, 20'000})
    for (std::uint64_t index = 0; index < 5; ++index) {
      const Sample sample = make_sample("fwe", Split::test, 3, index, length);
      INFO(length);
      std::map<std::string, std::size_t> times;
      const std::string coded = sample.context.substr(sample.context.find("coded words. ") + 13);
      for (const std::string& word : between(" " + coded, " ", " ")) ++times[word];
      const std::size_t dots = times["..."];
      times.erase("...");
      const std::vector<std::string> gold = between(", " + sample.answers[0], ", ", ",");
      REQUIRE(gold.size() == 3);
      CHECK(static_cast<double>(dots) / static_cast<double>(times[gold[0]]) == Approx(4).epsilon(0.2));
      CHECK(static_cast<double>(dots) / static_cast<double>(times[gold[1]]) == Approx(9).epsilon(0.3));
      CHECK(times[gold[0]] > times[gold[1]]);
      CHECK(times[gold[1]] > times[gold[2]]);
      for (const auto& [word, count] : times) {
        CHECK(word.size() == 6);
        if (word != gold[0] && word != gold[1] && word != gold[2]) CHECK(count < times[gold[2]]);
      }
    }
}

TEST_CASE("All of several answers", "[tasks]") {
  // RULER's string_match_all: the share of the references that are found
  CHECK(score_by_metric("contains-all", std::vector<std::string>{"12, 34, 56, 78"}, "They are 12, 34 and 78.") == Approx(0.75));
  CHECK(score_by_metric("contains-all", std::vector<std::string>{"AB, CD"}, "cd ab") == 1);
  CHECK(score_by_metric("contains-all", std::vector<std::string>{"12, 34"}, "123, 45") == 0);
  CHECK(score_by_metric("contains-all", std::vector<std::string>{"12,34", "7"}, "seven is 7") == 1);
  CHECK(score_by_metric("contains-all", std::vector<std::string>{", ,"}, ", ,") == 0);
}
