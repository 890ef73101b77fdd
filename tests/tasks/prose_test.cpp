#include <cctype>
#include <set>

#include "tasks/prose.hpp"
#include "tasks/prose_grammar.hpp"
#include "tests/check.hpp"
#include "tests/tasks/samples.hpp"

using namespace namm::tasks;
using namespace namm::tasks::testing;

namespace {

std::vector<Sentence> sentences(std::uint64_t seed, int count) {
  Prose prose(Rng("prose-test", Split::train, seed, 0));
  std::vector<Sentence> all;
  for (int i = 0; i < count; ++i) all.push_back(prose.next());
  return all;
}

}  // namespace

TEST_CASE("Prose is varied", "[tasks]") {
  std::set<std::string> distinct;
  const auto all = sentences(1, 20'000);
  std::size_t paragraphs = 0;
  for (const Sentence& sentence : all) {
    distinct.insert(sentence.text);
    paragraphs += sentence.starts_paragraph;
  }
  CHECK(distinct.size() > 18'000);  // only the hand-written sentences come again
  CHECK((paragraphs > 2'500 && paragraphs < 4'500));
  CHECK(all.front().starts_paragraph);

  std::size_t shared = 0;
  for (const Sentence& sentence : sentences(2, 5'000)) shared += distinct.contains(sentence.text);
  CHECK(shared < 5'000 / 10);
}

TEST_CASE("Sentences are well formed", "[tasks]") {
  Prose prose(Rng("prose-test", Split::test, 9, 0));
  for (int i = 0; i < 20'000; ++i) {
    const std::string text = i % 8 == 7 ? prose.next_short().text : prose.next().text;
    INFO(text);
    const char first = text[0] == '"' ? text[1] : text[0];
    REQUIRE((first >= 'A' && first <= 'Z'));
    REQUIRE((text.back() == '.' || text.back() == '"' || text.back() == '?'));
    REQUIRE(text.size() < 600);
    for (const char* wrong :
         {"  ", " ,", " .", "..", ",,", "{", "}", "|", " a a", " a e", " a i", " an b", " an t", "\x01", "they was"})
      REQUIRE(text.find(wrong) == std::string::npos);
    for (const char c : text) REQUIRE((c >= ' ' && c <= '~'));
  }
}

TEST_CASE("Prose has no sentence like a needle, but digits of every length", "[tasks]") {
  std::size_t of_length[10] = {}, with_digits = 0;
  const auto all = sentences(3, 20'000);
  for (const Sentence& sentence : all) {
    std::string lower;
    for (const char c : sentence.text) lower += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    INFO(lower);
    for (const char* like : {"pass key", "passkey", "magic", "special", "the code of", "remember it"})
      REQUIRE(lower.find(like) == std::string::npos);
    const auto numbers = numbers_in(sentence.text);
    with_digits += !numbers.empty();
    for (const std::string& number : numbers) ++of_length[std::min<std::size_t>(number.size(), 9)];
  }
  for (const std::size_t digits : {2, 3, 4, 5, 7}) CHECK(of_length[digits] > 50);
  const double share = static_cast<double>(with_digits) / static_cast<double>(all.size());
  CHECK((share > 0.05 && share < 0.25));
}

TEST_CASE("Words of the vocabulary are not listed twice", "[tasks]") {
  for (const GrammarRule& rule : prose_words()) {
    std::set<std::string> seen;
    std::string list = "|";
    list += rule.alternatives;
    for (const std::string& word : between(list, "|", "|")) {
      INFO(rule.name << ": '" << word << "'");
      CHECK(!word.empty());
      CHECK(seen.insert(word).second);
    }
  }
}
