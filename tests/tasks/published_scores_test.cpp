// Scores of LongBench and InfiniteBench against values computed with the published Python scorers: LongBench's metrics.py with
// rouge 1.0.1 and python-Levenshtein 0.27.5, InfiniteBench's compute_scores.py with rouge-score 0.1.2.
#include "tasks/scores.hpp"
#include "tests/check.hpp"
#include "tests/tasks/samples.hpp"

using namespace namm::tasks;
using namespace namm::tasks::testing;

namespace {

struct Row {
  const char *metric, *gold, *generated;
  double score;
};
const Row kRows[] = {
    {"qa-f1", "the old mill by the river", "An old mill, near the river.", 0.750000},
    {"longbench-rouge", "the old mill by the river", "An old mill, near the river.", 0.545455},
    {"rouge-lsum", "the old mill by the river", "An old mill, near the river.", 0.666667},
    {"qa-f1", "Barack Obama was born in Hawaii", "He was born in Honolulu, Hawaii, in 1961", 0.571429},
    {"longbench-rouge", "Barack Obama was born in Hawaii", "He was born in Honolulu, Hawaii, in 1961", 0.461538},
    {"rouge-lsum", "Barack Obama was born in Hawaii", "He was born in Honolulu, Hawaii, in 1961", 0.571429},
    {"qa-f1", "yes", "Yes.", 1.000000},
    {"longbench-rouge", "yes", "Yes.", 0.000000},
    {"rouge-lsum", "yes", "Yes.", 1.000000},
    {"qa-f1", "unanswerable", "The article does not say.", 0.000000},
    {"longbench-rouge", "unanswerable", "The article does not say.", 0.000000},
    {"rouge-lsum", "unanswerable", "The article does not say.", 0.000000},
    {"qa-f1", "a a b c", "b a c a d", 0.800000},
    {"longbench-rouge", "a a b c", "b a c a d", 0.571429},
    {"rouge-lsum", "a a b c", "b a c a d", 0.444444},
    {"qa-f1", "The report says costs rose. It blames fuel prices. Nothing else changed.",
     "Costs rose in the report. Fuel prices are blamed. It says nothing else changed, too.", 0.800000},
    {"longbench-rouge", "The report says costs rose. It blames fuel prices. Nothing else changed.",
     "Costs rose in the report. Fuel prices are blamed. It says nothing else changed, too.", 0.370370},
    {"rouge-lsum", "The report says costs rose. It blames fuel prices. Nothing else changed.",
     "Costs rose in the report. Fuel prices are blamed. It says nothing else changed, too.", 0.518519},
    {"qa-f1", "police killed the gunman", "the gunman police killed", 1.000000},
    {"longbench-rouge", "police killed the gunman", "the gunman police killed", 0.500000},
    {"rouge-lsum", "police killed the gunman", "the gunman police killed", 0.500000},
    {"qa-f1", "One two three four five. Six seven.", "one two. Three four six seven five", 1.000000},
    {"longbench-rouge", "One two three four five. Six seven.", "one two. Three four six seven five", 0.571429},
    {"rouge-lsum", "One two three four five. Six seven.", "one two. Three four six seven five", 0.857143},
    {"qa-f1", "U.S. exports fell 3.5 percent in May.", "In May, U.S. exports fell by 3.5 percent.", 0.933333},
    {"longbench-rouge", "U.S. exports fell 3.5 percent in May.", "In May, U.S. exports fell by 3.5 percent.", 0.736842},
    {"rouge-lsum", "U.S. exports fell 3.5 percent in May.", "In May, U.S. exports fell by 3.5 percent.", 0.736842},
    {"qa-f1", "same words here", "same words here", 1.000000},
    {"longbench-rouge", "same words here", "same words here", 1.000000},
    {"rouge-lsum", "same words here", "same words here", 1.000000},
    {"qa-f1", "alpha beta gamma", "delta epsilon", 0.000000},
    {"longbench-rouge", "alpha beta gamma", "delta epsilon", 0.000000},
    {"rouge-lsum", "alpha beta gamma", "delta epsilon", 0.000000},
    {"qa-f1", "w1 w2 w3 w4 w5", "w1 w2 w6 w7 w8. w1 w3 w8 w9 w5", 0.533333},
    {"longbench-rouge", "w1 w2 w3 w4 w5", "w1 w2 w6 w7 w8. w1 w3 w8 w9 w5", 0.615385},
    {"rouge-lsum", "w1 w2 w3 w4 w5", "w1 w2 w6 w7 w8. w1 w3 w8 w9 w5", 0.533333},
    {"qa-f1", "line one is here\nline two is there", "line two is here\nand line one is there\nthree", 0.888889},
    {"longbench-rouge", "line one is here\nline two is there", "line two is here\nand line one is there\nthree", 0.571429},
    {"rouge-lsum", "line one is here\nline two is there", "line two is here\nand line one is there\nthree", 0.888889},
    {"numbers", "3", "There are 3 paragraphs.", 1.000000},
    {"numbers", "3", "3 or 4, perhaps 3", 0.666667},
    {"numbers", "12", "1, 2", 0.000000},
    {"numbers", "7", "none", 0.000000},
    {"numbers", "Paragraph 15", "Paragraph 15", 1.000000},
    {"numbers", "Paragraph 15", "It is paragraph 5 or 15.", 0.500000},
    {"longbench-code", "return x + 1;", "return x + 1;", 1.000000},
    {"longbench-code", "    return x + 1;", "return x + 1;", 0.870000},
    {"longbench-code", "return self.value", "\n\n# comment\nreturn self.values\nmore", 0.970000},
    {"longbench-code", "int main() {", "`int`\n// note\nint mian() {", 0.920000},
    {"longbench-code", "abc", "xyz", 0.000000},
    {"longbench-code", "foo(bar, baz)", "\nfoo(baz)", 0.760000},
    {"longbench-code", "x = 1", "# only\n// comments", 0.000000},
    {"longbench-code", "naïve = 'é'", "naive = 'é'", 0.910000},
    {"longbench-code", "ab", "a", 0.670000},
    {"longbench-code", "abcdefg", "abxdefghij", 0.710000},
    {"infinitebench-integer", "71432", " 71432.", 1.000000},
    {"infinitebench-integer", "71432", "The key is 71432", 1.000000},
    {"infinitebench-integer", "71432", "5 71432", 0.000000},
    {"infinitebench-integer", "71432", "none", 0.000000},
    {"infinitebench-integer", "071", "071", 1.000000},
    {"infinitebench-kv", "ab-cd", "\"ab-cd\"", 1.000000},
    {"infinitebench-kv", "ab-cd", "It is: ab-cd.", 1.000000},
    {"infinitebench-kv", "ab-cd", "ab-cde", 0.000000},
    {"infinitebench-kv", "ab-cd", "", 0.000000},
    {"infinitebench-code-run", "-5", "The value is -5.", 1.000000},
    {"infinitebench-code-run", "-5", "5", 0.000000},
    {"infinitebench-code-run", "12", "12 is it", 0.000000},
    {"infinitebench-code-run", "12", "it is: 12", 1.000000},
    {"infinitebench-code-run", "12", "`12`", 1.000000},
    {"infinitebench-code-run", "12", "", 0.000000},
    {"infinitebench-code-run", "12", "012", 1.000000},
    {"infinitebench-code-run", "12", "twelve", 0.000000},
    {"infinitebench-code-debug", "B. foo", "B. foo", 1.000000},
    {"infinitebench-code-debug", "B. foo", "B: foo", 1.000000},
    {"infinitebench-code-debug", "B. foo", "B", 0.000000},
    {"infinitebench-code-debug", "B. foo", "The answer is: B", 1.000000},
    {"infinitebench-code-debug", "B. foo", "The answer is: foo", 1.000000},
    {"infinitebench-code-debug", "B. foo", "answer: C", 0.000000},
    {"infinitebench-code-debug", "B. foo", "The correct option is: **B**", 1.000000},
    {"infinitebench-code-debug", "B. foo", "Option B", 0.000000},
    {"infinitebench-code-debug", "B. foo", "is: B", 1.000000},
    {"infinitebench-code-debug", "B. foo", "I think the answer is:", 0.000000},
    {"infinitebench-choice", "B|Bea", "B", 1.000000},
    {"infinitebench-choice", "B|Bea", "B. Bea", 1.000000},
    {"infinitebench-choice", "B|Bea", "C", 0.000000},
    {"infinitebench-choice", "B|Bea", "The answer is B", 1.000000},
    {"infinitebench-choice", "B|Bea", "The answer is: Bea", 1.000000},
    {"infinitebench-choice", "B|Bea", "I think B is right", 1.000000},
    {"infinitebench-choice", "B|Bea", "answer: Ann", 0.000000},
    {"infinitebench-choice", "B|Bea", "Well, A or B", 0.000000},
    {"infinitebench-choice", "B|Bea", "the option is D", 0.000000},
    {"infinitebench-choice", "B|Bea", "nothing at all", 0.000000},
    {"infinitebench-choice", "B|Bea", "b", 0.000000},
    {"infinitebench-dialogue", "JULIA", "Julia.", 1.000000},
    {"infinitebench-dialogue", "JULIA", "it is julia", 1.000000},
    {"infinitebench-dialogue", "JULIA", "Juliana", 0.000000},
    {"infinitebench-dialogue", "MARY ANN", "Mary Ann", 0.000000},
    {"infinitebench-math-find", "42", "It is 42.", 1.000000},
    {"infinitebench-math-find", "42", "4 2", 0.000000},
    {"infinitebench-math-find", "3.5", "3.5 and 42", 1.000000},
    {"infinitebench-math-find", "3.5", "3.50", 1.000000},
    {"infinitebench-math-find", "3.5", "3", 0.000000},
    {"infinitebench-math-find", "42", "-42", 1.000000},
    {"infinitebench-math-calc", "1, 4, 8", "[1, 4, 8]", 1.000000},
    {"infinitebench-math-calc", "1, 4, 8", "1, 4, 9", 0.666667},
    {"infinitebench-math-calc", "1, 4, 8", "2, 4, 8", 0.000000},
    {"infinitebench-math-calc", "1, -4", "1, -4", 0.500000},
    {"infinitebench-math-calc", "7, 8", "7", 0.500000},
    {"infinitebench-math-calc", "1, 4, 8", "1 4 8 9", 1.000000},
    {"char-f1", "东京大学", "东京。", 0.666667},
    {"char-f1", "北京", "东京", 0.500000},
    {"char-f1", "张三 李四", "李四和张三", 0.888889},
    {"char-f1", "ABC公司", "abc 公司", 1.000000},
    {"char-f1", "好", "坏", 0.000000},
};

struct ClassRow {
  const char *gold, *generated;
  double score;
};

}  // namespace

TEST_CASE("Published scores", "[tasks]") {
  for (const Row& row : kRows) {
    INFO(row.metric << ": '" << row.gold << "' | '" << row.generated << "'");
    const std::vector<std::string> answers =
        std::string_view(row.gold) == "B|Bea" ? std::vector<std::string>{"B", "Bea"} : std::vector<std::string>{row.gold};
    CHECK(score_by_metric(row.metric, answers, row.generated) == Approx(row.score).margin(2e-6));
  }
}

TEST_CASE("Published scores: classification", "[tasks]") {
  const std::vector<std::string> types = {
      "Number of something",     "Number",       "Date",  "Description of something", "Description",
      "Definition of something", "Other number", "Reason"};
  const ClassRow by_type[] = {
      {"Number", "Number", 1.000000},
      {"Number of something", "Number of something", 1.000000},
      {"Date", "Date or Reason", 0.500000},
      {"Date", "Reason", 0.000000},
      {"Description of something", "Type: Description of something\n", 1.000000},
      {"Other number", "Other number", 1.000000},
      {"Reason", "nothing", 0.000000},
      {"Number of something", "Number of something, Date", 0.500000},
  };
  for (const ClassRow& row : by_type) {
    INFO(row.gold << " | " << row.generated);
    CHECK(score_by_metric("longbench-classification", std::vector<std::string>{row.gold}, row.generated, types) ==
          Approx(row.score).margin(2e-6));
  }
  // names that contain each other: the published scorer passes over some, and so do we
  const std::vector<std::string> nested = {"ab", "abc", "b", "abcd", "bc", "x"};
  const ClassRow by_part[] = {
      {"abcd", "abcd", 0.500000},
      {"abc", "abc", 0.500000},
      {"abc", "abcx", 0.333333},
      {"b", "ab", 0.500000},
  };
  for (const ClassRow& row : by_part) {
    INFO(row.gold << " | " << row.generated);
    CHECK(score_by_metric("longbench-classification", std::vector<std::string>{row.gold}, row.generated, nested) ==
          Approx(row.score).margin(2e-6));
  }
}

TEST_CASE("The first line alone, and the best of several answers", "[tasks]") {
  CHECK(score_by_metric("first-line:qa-f1", std::vector<std::string>{"old mill"}, "\n\nOld mill\nQuestion: and so on") == 1);
  CHECK(score_by_metric("qa-f1", std::vector<std::string>{"old mill"}, "Old mill\nQuestion: and so on") < 0.7);
  CHECK(score_by_metric("first-line:rouge-lsum", std::vector<std::string>{"a b", "b c"}, "b c\nd") == 1);
  CHECK(score_by_metric("first-line:contains", std::vector<std::string>{"x"}, "\n") == 0);
}

TEST_CASE("Long texts cost bounded time", "[tasks]") {
  std::string text;
  for (int i = 0; i < 60'000; ++i) text.append("w").append(std::to_string(i % 977)).append(i % 12 == 11 ? ".\n" : " ");
  for (const char* metric : {"longbench-rouge", "rouge-lsum", "char-f1"})
    CHECK(score_by_metric(metric, std::vector<std::string>{text}, text) > 0.5);
  const std::string line(300'000, 'x');
  CHECK(score_by_metric("longbench-code", std::vector<std::string>{line}, line) == 1);
  std::string numbers = "0";
  for (int i = 1; i < 60'000; ++i) numbers.append(", ").append(std::to_string(i));
  CHECK(score_by_metric("infinitebench-math-calc", std::vector<std::string>{numbers}, numbers) == 1);
}
