// What every registered task has to do, whatever it is about.
#include <algorithm>
#include <limits>
#include <set>
#include <stdexcept>

#include "base/utf8.hpp"
#include "tasks/fill.hpp"
#include "tasks/scores.hpp"
#include "tests/check.hpp"
#include "tests/tasks/samples.hpp"

using namespace namm;
using namespace namm::tasks;
using namespace namm::tasks::testing;

namespace {

/// By how much a context may be shorter than asked for: also by a record, in tasks made of records.
std::size_t tolerance(std::string_view task, const Sample& sample, std::size_t length, const TokenCounter& count) {
  std::size_t record = 0;
  if (task == "niah-multikey-2" || task == "niah-multikey-3")
    for (const std::string& line : between("\n" + sample.context, "\n", "\n")) record = std::max(record, count(line) + 1);
  if (task == "cwe" || task == "fwe")
    for (const std::string& word : between(sample.context, " ", " ")) record = std::max(record, 3 * count(" 1234. " + word));
  if (task == "kv-retrieval") record = count(sample.context.substr(sample.needle_offset, sample.evidence[0].bytes)) + 2;
  return std::max(length_slack(length), record);
}

std::vector<std::string> parts_of(const std::string& answer) {
  return between(", " + answer, ", ", ",");
}

}  // namespace

TEST_CASE("Task matrix: lengths", "[tasks]") {
  const TokenCounter words = approximate_counter("words");
  for (const TaskEntry& entry : task_registry())
    for (const TokenCounter& count : {words, TokenCounter(count_pairs)})
      for (const std::size_t length : {500, 700, 1500, 4096, 9000})
        for (std::uint64_t index = 0; index < 3; ++index) {
          const Sample sample = make_any_task(entry.name)->make({Split::test, 5, index, length}, count);
          const std::size_t tokens = count(sample.context);
          INFO(sample.id << " of " << length << " has " << tokens);
          REQUIRE(tokens <= length);
          REQUIRE(tokens + tolerance(entry.name, sample, length, count) >= length);
          REQUIRE(first_invalid_utf8(sample.context) == sample.context.size());
        }
}

TEST_CASE("Task matrix: 128k tokens", "[tasks]") {
  const TokenCounter words = approximate_counter("words");
  for (const TaskEntry& entry : task_registry()) {
    const std::size_t tokens = words(make_sample(entry.name, Split::train, 0, 0, 131'072).context);
    INFO(entry.name << " " << tokens);
    CHECK(tokens <= 131'072);
    CHECK(tokens >= 128'000);
  }
}

TEST_CASE("Task matrix: hostile lengths are refused in one line", "[tasks]") {
  const TokenCounter words = approximate_counter("words");
  for (const TaskEntry& entry : task_registry()) {
    const auto task = make_any_task(entry.name);
    const std::string start = "task " + std::string(entry.name) + ": length_tokens ";
    for (const std::size_t length :
         {std::size_t{0}, std::size_t{1}, std::size_t{8}, kMostLengthTokens + 1, std::numeric_limits<std::size_t>::max()}) {
      INFO(entry.name << " " << length);
      CHECK_THROWS_AS(task->make({Split::train, 0, 0, length}, words), std::invalid_argument);
      const std::string message = message_of([&] { task->make({Split::train, 0, 0, length}, words); });
      CHECK(message.starts_with(start));
      CHECK(message.find('\n') == std::string::npos);
    }
    // the least length that the message names is enough, or nearly
    const std::string message = message_of([&] { task->make({Split::train, 0, 0, 8}, words); });
    const std::size_t least = std::stoul(message.substr(message.rfind(' ')));
    INFO(message);
    CHECK(least > 8);
    CHECK_NOTHROW(task->make({Split::train, 0, 0, 2 * least + 16}, words));
  }
}

TEST_CASE("Task matrix: the answer is in the context where the sample says, and nowhere else", "[tasks]") {
  for (const TaskEntry& entry : task_registry())
    for (const Split split : kSplits)
      for (std::uint64_t index = 0; index < 12; ++index) {
        const Sample sample = make_sample(entry.name, split, 11, index, 600);
        INFO(sample.id);
        REQUIRE_FALSE(sample.answers.empty());
        REQUIRE_FALSE(sample.answers[0].empty());
        REQUIRE(sample.answers[0].front() != ' ');
        if (sample.evidence.empty()) {
          REQUIRE(sample.needle_offset == Sample::npos);
          continue;
        }
        const std::vector<std::string> parts = parts_of(sample.answers[0]);
        REQUIRE(parts.size() == sample.evidence.size());
        REQUIRE(sample.needle_offset == sample.evidence[0].offset);
        std::string rest = sample.context;
        for (std::size_t i = 0; i < parts.size(); ++i) {
          const auto [offset, bytes] = sample.evidence[i];
          REQUIRE(offset + bytes <= sample.context.size());
          REQUIRE(sample.context.substr(offset, bytes).find(parts[i]) != std::string::npos);
          std::fill_n(rest.begin() + static_cast<std::ptrdiff_t>(offset), bytes, ' ');
        }
        for (const std::string& part : parts) REQUIRE(score_contains({&part, 1}, rest) == 0);
      }
}

TEST_CASE("Task matrix: the gold answer scores 1, nothing and another prompt's answer do not", "[tasks]") {
  for (const TaskEntry& entry : task_registry()) {
    const auto task = make_any_task(entry.name);
    double others = 0;
    for (std::uint64_t index = 0; index < 20; ++index) {
      const Sample sample = make_sample(entry.name, Split::validation, 1, index, 700);
      INFO(sample.id << ": " << sample.answers[0]);
      const std::string gold = continuation(sample, sample.answers[0]);
      REQUIRE(task->score(sample, gold) == Approx(1.0));
      REQUIRE(task->score(sample, gold + "\n\nAnother line.") == Approx(1.0).margin(0.25));
      REQUIRE(task->score(sample, "") == 0);
      REQUIRE(task->score(sample, " \n") == 0);
      others += task->score(sample, make_sample(entry.name, Split::validation, 2, index, 700).answers[0]);
      // enough tokens for the answer: at most one a character
      REQUIRE(static_cast<std::size_t>(task->max_answer_tokens()) * 8 >= sample.answers[0].size());
    }
    INFO(entry.name);
    CHECK(others < (entry.family == "code" || entry.family == "plain" ? 15 : 8));  // overlap scores are never quite 0
  }
}

TEST_CASE("Task matrix: seeds give different answers", "[tasks]") {
  for (const TaskEntry& entry : task_registry()) {
    std::set<std::string> answers;
    for (std::uint64_t seed = 0; seed < 24; ++seed)
      answers.insert(make_sample(entry.name, Split::train, seed, 0, 700).answers[0]);
    INFO(entry.name);
    CHECK(answers.size() >= 6);
  }
}

TEST_CASE("Names of tasks and families", "[tasks]") {
  std::set<std::string_view> names;
  for (const TaskEntry& entry : task_registry()) {
    CHECK(names.insert(entry.name).second);
    CHECK(entry.name != entry.family);
    CHECK(make_any_task(entry.name)->name() == entry.name);
  }
  const auto expand = [](std::vector<std::string> words) { return task_names(words); };
  CHECK(expand({"basic"}) == std::vector<std::string>{"passkey", "niah-single", "kv-recall"});
  CHECK(expand({"vt", "basic", "passkey"}) == std::vector<std::string>{"vt", "passkey", "niah-single", "kv-recall"});
  CHECK(expand({"all"}).size() == names.size());
  CHECK(expand({"ruler"}).size() == 11);
  CHECK(expand({"nothing"}) == std::vector<std::string>{"nothing"});
}
