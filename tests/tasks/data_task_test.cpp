#include "tasks/data_task.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <stdexcept>

#include "base/utf8.hpp"
#include "tasks/text_continuation.hpp"
#include "tests/check.hpp"
#include "tests/tasks/samples.hpp"

using namespace namm;
using namespace namm::tasks;
using namespace namm::tasks::testing;

namespace {

std::vector<Sample> questions(int count) {
  std::vector<Sample> samples;
  for (int i = 0; i < count; ++i) {
    Sample sample = make_sample("niah-single", Split::train, 0, static_cast<std::uint64_t>(i), 800);
    sample.id = std::to_string(i);
    samples.push_back(sample);
  }
  return samples;
}

Sample plain_text(std::size_t length) {
  Sample text = make_sample("passkey", Split::train, 0, 0, length);
  text.question.clear();
  text.answer_prefix.clear();
  text.answers.clear();
  return text;
}

}  // namespace

TEST_CASE("Prompts of a file are dealt out to splits", "[tasks]") {
  const TokenCounter words = approximate_counter("words");
  const DataTask disjoint("mine", questions(12), FileSplits::disjoint);
  CHECK(disjoint.size(Split::train) == 8);
  CHECK(disjoint.size(Split::validation) == 2);
  CHECK(disjoint.size(Split::test) == 2);
  std::set<std::string> ids;
  for (const Split split : kSplits)
    for (std::uint64_t i = 0; i < disjoint.size(split); ++i) ids.insert(disjoint.make({split, 0, i, 0}, words).id);
  CHECK(ids.size() == 12);
  CHECK(disjoint.make({Split::test, 0, 2, 0}, words).id == disjoint.make({Split::test, 5, 0, 0}, words).id);

  const DataTask shared("mine", questions(2), FileSplits::shared);
  for (const Split split : kSplits) CHECK(shared.make({split, 0, 1, 0}, words).id == "1");

  const DataTask few("mine", questions(2), FileSplits::disjoint);
  CHECK(message_of([&] {
          few.make({Split::test, 0, 0, 0}, words);
        }) == "prompts of 'mine': the test split needs prompts on at least five different contexts, the file has 2");
  CHECK_THROWS_AS(DataTask("none", {}, FileSplits::shared), std::invalid_argument);
}

TEST_CASE("Prompts on one document are in one split, wherever they stand in the file", "[tasks]") {
  const TokenCounter words = approximate_counter("words");
  std::vector<Sample> samples;
  for (int question = 0; question < 4; ++question)
    for (const Sample& one : questions(10)) {
      samples.push_back(one);
      samples.back().id += "/" + std::to_string(question);
      samples.back().question = "question " + std::to_string(question);
    }
  const DataTask task("books", samples, FileSplits::disjoint);
  CHECK(task.documents() == 10);
  std::map<std::string, std::set<Split>> splits_of_document;
  std::map<std::string, Split> split_of;
  for (const Split split : kSplits)
    for (std::uint64_t i = 0; i < task.size(split); ++i) {
      const Sample sample = task.make({split, 0, i, 0}, words);
      splits_of_document[sample.context].insert(split);
      split_of[sample.id] = split;
      CHECK(sample.unit == task.make({split, 0, i, 16}, words).unit);  // also where the middle is cut out
    }
  CHECK(splits_of_document.size() == 10);
  for (const auto& [document, splits] : splits_of_document) CHECK(splits.size() == 1);
  CHECK(task.size(Split::train) == 24);
  CHECK(task.size(Split::validation) == 8);
  CHECK(task.size(Split::test) == 8);
  std::reverse(samples.begin(), samples.end());
  const DataTask reversed("books", samples, FileSplits::disjoint);
  for (const Split split : kSplits)
    for (std::uint64_t i = 0; i < reversed.size(split); ++i)
      CHECK(split_of.at(reversed.make({split, 0, i, 0}, words).id) == split);
}

TEST_CASE("A prompt that stands in a file twice counts once, and ids are told apart", "[tasks]") {
  std::vector<Sample> samples = questions(3);
  samples.push_back(samples[1]);
  samples[2].id = samples[0].id;
  samples[2].context += " More.";
  const DataTask task("mine", samples, FileSplits::shared);
  CHECK(task.repeated() == 1);
  REQUIRE(task.samples().size() == 3);
  CHECK(task.samples()[2].id == samples[0].id + "#2");
  std::vector<Sample> empty = questions(2);  // the text is in the question
  for (Sample& sample : empty) std::swap(sample.context, sample.question);
  for (Sample& sample : empty) sample.context.clear();
  CHECK(DataTask("mine", empty, FileSplits::shared).documents() == 2);
}

TEST_CASE("A context that is too long loses its middle", "[tasks]") {
  for (const char* name : {"words", "chars/4", "chars"}) {
    const TokenCounter count = approximate_counter(name);
    const auto samples = questions(1);
    const DataTask task("mine", samples, FileSplits::shared);
    for (const std::size_t length : {16, 60, 300, 700}) {
      INFO(name << " " << length);
      const std::string context = task.make({Split::train, 0, 0, length}, count).context;
      CHECK(count(context) <= length);
      CHECK(count(context) + std::max<std::size_t>(16, length / 50) >= length);
      CHECK(task.make({Split::train, 0, 0, length}, count).cut_tokens == count(samples[0].context) - count(context));
      CHECK(samples[0].context.starts_with(context.substr(0, context.size() / 2 - 4)));
      CHECK(samples[0].context.ends_with(context.substr(context.size() / 2 + 4)));
    }
    CHECK(task.make({Split::train, 0, 0, 100'000}, count).context == samples[0].context);
    CHECK(task.make({Split::train, 0, 0, 0}, count).context == samples[0].context);
  }
  std::string wide;
  for (int i = 0; i < 500; ++i) wide += "漢é😀";
  for (std::size_t length = 0; length < 100; ++length) {
    const std::string cut = cut_middle(wide, length, approximate_counter("chars"));
    REQUIRE(cut.size() <= length);
    REQUIRE(first_invalid_utf8(cut) == cut.size());
  }
}

TEST_CASE("Windows of a plain text", "[tasks]") {
  const TokenCounter words = approximate_counter("words");
  const Sample text = plain_text(20'000);
  const DataTask task("book", {text}, FileSplits::disjoint);
  std::size_t begin[3] = {text.context.size(), text.context.size(), text.context.size()}, end[3] = {};
  for (const Split split : kSplits) {
    std::set<std::string> distinct;
    for (std::uint64_t index = 0; index < 30; ++index) {
      const Sample sample = task.make({split, 1, index, 500}, words);
      CHECK(words(sample.context) <= 500);
      CHECK(words(sample.context) >= 440);
      const std::size_t at = std::stoul(sample.id.substr(sample.id.find('@') + 1));
      REQUIRE(text.context.substr(at, sample.context.size()) == sample.context);
      REQUIRE((at == 0 || text.context[at - 1] == ' ' || text.context[at - 1] == '\n'));
      distinct.insert(sample.context);
      const auto s = static_cast<std::size_t>(split);
      begin[s] = std::min(begin[s], at);
      end[s] = std::max(end[s], at + sample.context.size());
      CHECK(task.make({split, 1, index, 500}, words).context == sample.context);
    }
    CHECK(distinct.size() > 20);
  }
  CHECK(end[0] <= begin[1]);
  CHECK(end[1] <= begin[2]);
  CHECK(task.make({Split::train, 0, 0, 1'000'000}, words).context.size() == text.context.size() / 5 * 3);
}

TEST_CASE("Plain texts of a file as prompts: the last words of a window are asked for", "[tasks]") {
  std::string text;
  for (int i = 0; i < 400; ++i) text += "word" + std::to_string(i) + " ";
  const TemporaryFile file("own.txt", text);
  const std::shared_ptr<const DataTask> data = make_data_task(file.path(), FileSplits::shared);
  const TextContinuation task(data);
  CHECK(task.name() == "own");
  SampleRequest request;
  request.length_tokens = 100;
  const TokenCounter words = [](std::string_view part) {
    return static_cast<std::size_t>(std::count(part.begin(), part.end(), ' ')) + 1;
  };
  const Sample window = data->make(request, words), sample = task.make(request, words);
  REQUIRE(sample.answers.size() == 1);
  CHECK(std::count(sample.answers[0].begin(), sample.answers[0].end(), ' ') == (100 - 1) / 4 - 1);  // a quarter of a short window
  CHECK(window.context.rfind(sample.context + " " + sample.answers[0], 0) == 0);
  CHECK(continuation(sample, sample.answers[0]) == " " + sample.answers[0]);
  request.length_tokens = 0;  // the whole text: 32 words
  const Sample whole = task.make(request, words);
  CHECK(std::count(whole.answers[0].begin(), whole.answers[0].end(), ' ') == 31);
  const TemporaryFile asked("asked.jsonl", "{\"context\": \"x\", \"question\": \"y?\", \"answers\": [\"z\"]}");
  CHECK_THROWS_WITH(TextContinuation(make_data_task(asked.path(), FileSplits::shared)), Contains("must be plain"));
}
