#include "tasks/scores.hpp"

#include <stdexcept>

#include "tests/check.hpp"
#include "tests/tasks/samples.hpp"

using namespace namm::tasks;
using namespace namm::tasks::testing;

namespace {

double score(std::string_view metric, std::vector<std::string> answers, std::string_view generated) {
  return score_by_metric(metric, answers, generated);
}

}  // namespace

TEST_CASE("prefix, contains and exact", "[tasks]") {
  struct Row {
    const char* generated;
    double prefix, contains, exact;
  };
  const Row rows[] = {
      {"4821", 1, 1, 1},
      {" 4821", 1, 1, 1},
      {"\n\t4821.\n", 1, 1, 1},
      {"4821. The next question", 1, 1, 0},
      {"4821, and no other", 1, 1, 0},
      {"4821\n48213", 1, 1, 0},
      {"The code is 4821.", 0, 1, 0},
      {"48213", 0, 0, 0},  // a longer number
      {"14821", 0, 0, 0},
      {"4821.5", 0, 0, 0},  // another number
      {"4,821", 0, 0, 0},
      {"4821,000", 0, 0, 0},
      {"3.4821", 0, 0, 0},
      {"482", 0, 0, 0},  // cut off
      {"4821a", 0, 0, 0},
      {"x4821", 0, 0, 0},
      {"", 0, 0, 0},
      {"   ", 0, 0, 0},
      {"48213 or 4821", 0, 1, 0},
      {"(4821)", 0, 1, 0},
  };
  for (const Row& row : rows) {
    INFO("'" << row.generated << "'");
    CHECK(score("prefix", {"4821"}, row.generated) == row.prefix);
    CHECK(score("contains", {"4821"}, row.generated) == row.contains);
    CHECK(score("exact", {"4821"}, row.generated) == row.exact);
  }
}

TEST_CASE("A beginning decides only what no continuation can change", "[tasks]") {
  const std::vector<std::string> answers = {"York", "new town "};
  for (const char* const undecided :
       {"", " ", "\n", "y", " York", "YORK", "york. And", "Yorkshire", "new", "New ", "  NEW TOWN"}) {
    INFO("'" << undecided << "'");
    CHECK(may_become(answers, undecided));
  }
  for (const char* const decided : {"x", ".York", "yo rk", "new  town", "newt", "the York"}) {
    INFO("'" << decided << "'");
    CHECK_FALSE(may_become(answers, decided));
    for (const char* const rest : {"", "rk", "York", " town"}) {
      CHECK(score("prefix", answers, std::string(decided) + rest) == 0);
      CHECK(score("exact", answers, std::string(decided) + rest) == 0);
    }
  }
  CHECK_FALSE(may_become({}, ""));
  CHECK_FALSE(may_become(std::vector<std::string>{" "}, ""));
}

TEST_CASE("Words, several answers, other scripts", "[tasks]") {
  CHECK(score("contains", {"Port Ellery"}, "It was in port ellery, I think.") == 1);
  CHECK(score("contains", {"port"}, "It was important.") == 0);
  CHECK(score("prefix", {"yes", "no"}, "No, never.") == 1);
  CHECK(score("prefix", {"no"}, "Nobody") == 0);
  CHECK(score("contains", {"東京"}, "答えは東京です") == 1);
  CHECK(score("exact", {"U.S."}, "U.S.") == 1);
  for (const char* metric : {"prefix", "contains", "exact", "qa-f1", "rouge-l", "code-similarity"}) {
    INFO(metric);
    CHECK(is_metric(metric));
    CHECK(score(metric, {}, "anything") == 0);
    CHECK(score(metric, {""}, "anything") == 0);
    CHECK(score(metric, {" "}, "") == 0);
    CHECK(score(metric, {"the same words"}, "the same words") == 1);
    CHECK(score(metric, {"x"}, std::string(100'000, 'y')) == 0);
  }
}

TEST_CASE("qa-f1", "[tasks]") {
  CHECK(score("qa-f1", {"the old mill"}, "An old mill.") == 1);  // articles and punctuation do not count
  CHECK(score("qa-f1", {"the old mill"}, "the old bridge") == Approx(0.5));
  CHECK(score("qa-f1", {"old mill", "red barn"}, "red barn by the river") == Approx(2.0 * 2 / (2 + 4)));
  CHECK(score("qa-f1", {"a a b"}, "b b b") == Approx(2.0 * 1 / (1 + 3)));  // a word counts as often as both have it
  CHECK(score("qa-f1", {"东京"}, "东京。") == 1);
  CHECK(score("qa-f1", {"东京"}, "北京") == Approx(0.5));
}

TEST_CASE("rouge-l and code-similarity", "[tasks]") {
  CHECK(score("rouge-l", {"police killed the gunman"}, "police kill the gunman") == Approx(0.75));  // Lin 2004, section 3
  CHECK(score("rouge-l", {"police killed the gunman"}, "the gunman kill police") == Approx(0.5));
  CHECK(score("code-similarity", {"return x + 1"}, "\n# comment\n  return x + 1\nmore") == 1);
  CHECK(score("code-similarity", {"abcd"}, "abxd") == Approx(0.75));
}

TEST_CASE("An unknown metric is refused", "[tasks]") {
  CHECK(metric_names().starts_with("prefix, contains, contains-all, "));
  CHECK(metric_names().ends_with(" or code-similarity"));
  CHECK(is_metric("first-line:qa-f1"));
  CHECK_FALSE(is_metric("first-line:"));
  CHECK_FALSE(is_metric("f1"));
  CHECK_FALSE(is_metric(""));
  CHECK(message_of([] { score("f1", {"a"}, "a"); }) == "metric must be " + metric_names() + ", got 'f1'");
}

TEST_CASE("A sample's own metric goes before the task's", "[tasks]") {
  const auto task = make_task("passkey");
  Sample sample = make_sample("passkey", Split::train, 0, 0);
  const std::string late = "It is " + sample.answers[0];
  CHECK(task->score(sample, late) == 0);
  sample.metric = "contains";
  CHECK(task->score(sample, late) == 1);
}

TEST_CASE("The space before an answer", "[tasks]") {
  Sample sample;
  CHECK(continuation(sample, "x") == "x");
  sample.context = "text";
  CHECK(continuation(sample, "x") == " x");
  sample.question = "why?\n";
  CHECK(continuation(sample, "x") == "x");
  sample.answer_prefix = " Because";
  CHECK(continuation(sample, "x") == " x");
  CHECK(prompt_text(sample) == "textwhy?\n Because");
}
