#include "tasks/haystack.hpp"

#include <set>
#include <stdexcept>

#include "tests/check.hpp"
#include "tests/tasks/samples.hpp"

using namespace namm::tasks;
using namespace namm::tasks::testing;

namespace {

std::string numbered_sentences(int count) {
  static const char* const kWords[] = {"zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"};
  std::string text;
  for (int i = 0; i < count; ++i)
    text += std::string("Sentence ") + kWords[i / 10] + "-" + kWords[i % 10] + " is\n here.  " + (i % 7 == 6 ? "\n\n" : "");
  return text;
}

std::string context_on(const std::string& haystack, Split split, std::uint64_t index, std::size_t length = 300) {
  return make_task("passkey", make_haystack(haystack))->make({split, 0, index, length}, approximate_counter("words")).context;
}

}  // namespace

TEST_CASE("Repeated sentences, as passkey retrieval was defined", "[tasks]") {
  const std::string context = context_on("repeated", Split::train, 0);
  CHECK(context.find("The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again. ") !=
        std::string::npos);
  CHECK(between(context, "The pass key is ", ".").size() == 1);
}

TEST_CASE("A file as filler", "[tasks]") {
  const TemporaryFile file("book.txt", numbered_sentences(90));
  std::set<std::string> of_split[3];
  for (const Split split : kSplits)
    for (std::uint64_t index = 0; index < 20; ++index) {
      const std::string context = context_on(file.name(), split, index);
      CHECK(context.find("The pass key is ") != std::string::npos);
      for (const std::string& number : between(context, "Sentence ", " is here."))
        of_split[static_cast<std::size_t>(split)].insert(number);
    }
  for (const auto& numbers : of_split) CHECK(numbers.size() == 30);
  CHECK(of_split[0].contains("zero-zero"));
  CHECK(of_split[1].contains("three-zero"));
  CHECK(of_split[2].contains("eight-nine"));
  CHECK(context_on("file:" + file.name(), Split::train, 3) == context_on(file.name(), Split::train, 3));
}

TEST_CASE("Filler of long sentences is cut to length", "[tasks]") {
  std::string text;
  for (int i = 0; i < 40; ++i) {
    for (int k = 0; k < 90; ++k) text += "word ";
    text += "end. ";
  }
  const TemporaryFile file("long.txt", text);
  const TokenCounter words = approximate_counter("words");
  for (const std::size_t length : {150, 400, 1000}) {
    const std::size_t tokens = words(context_on(file.name(), Split::test, 1, length));
    CHECK(tokens <= length);
    CHECK(tokens + 20 >= length);
  }
}

TEST_CASE("Filler that looks like the needle is left out", "[tasks]") {
  std::string text;
  for (int i = 0; i < 60; ++i) text += "The pass key is 12345. A harmless sentence stands here. ";
  const TemporaryFile file("tricky.txt", text);
  CHECK(between(context_on(file.name(), Split::train, 0), "The pass key is ", ".").size() == 1);
  std::string only;
  for (int i = 0; i < 60; ++i) only += "The pass key is 12345. ";
  const TemporaryFile hopeless("hopeless.txt", only);  // no filler is left: a short context, but no endless loop
  CHECK(between(context_on(hopeless.name(), Split::train, 0), "The pass key is ", ".").size() == 1);
}

TEST_CASE("Haystacks that cannot be used", "[tasks]") {
  CHECK(message_of([] { make_haystack("prosa"); }) ==
        "haystack must be own, prose, repeated, code or an existing text file, got 'prosa'");
  const TemporaryFile brief("brief.txt", numbered_sentences(29));
  CHECK(message_of([&] { make_haystack(brief.name()); }) == brief.name() + ": a haystack needs at least 30 sentences, found 29");
  const TemporaryFile latin("latin.txt", "caf\xE9");
  CHECK(message_of([&] { make_haystack(latin.name()); }) == latin.name() + ": is not UTF-8 text (byte 3); convert it first");
  const std::string folder = brief.path().parent_path().string();
  CHECK(message_of([&] { make_haystack(folder); }) == folder + ": is a folder; give a text file");
  CHECK(message_of([&] { make_haystack("file:" + folder + "/none"); }) == folder + "/none: cannot be opened");
  const TemporaryFile endless("endless.txt", std::string(100'000, 'x'));  // one "word": cut into pieces
  CHECK(make_haystack(endless.name())->name() == "file");
}
