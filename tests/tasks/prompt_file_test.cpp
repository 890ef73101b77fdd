#include "tasks/prompt_file.hpp"

#include <iterator>
#include <nlohmann/json.hpp>

#include "base/utf8.hpp"
#include "tasks/random.hpp"
#include "tasks/scores.hpp"
#include "tests/check.hpp"
#include "tests/tasks/samples.hpp"

using namespace namm;
using namespace namm::tasks;
using namespace namm::tasks::testing;

TEST_CASE("Prompt files: what they hold", "[tasks]") {
  const TemporaryFile file(
      "mine.jsonl",
      "\xEF\xBB\xBF{\"context\": \"A plain text.\"}\r\n"
      "\n"
      "{\"id\": \"q1\", \"task\": \"mill\", \"context\": \"The mill is old.\", \"question\": \"How old?\","
      " \"answers\": [\"very\", \" old\"], \"answer_prefix\": \"It is\", \"metric\": \"qa-f1\", \"more\": {}}\n"
      "{\"id\": 7, \"context\": \"x\", \"question\": \"\\n\\ny?\", \"answers\": \"z\", \"answer_prefix\": \" The\"}\n"
      "{\"context\": \"Two and two are\", \"answers\": [4]}");
  const auto samples = load_prompts(file.path());
  REQUIRE(samples.size() == 4);
  CHECK(samples[0].context == "A plain text.");
  CHECK(samples[0].id == "mine.jsonl:1");
  CHECK(samples[0].task == "mine");
  CHECK(samples[0].answers.empty());
  CHECK(samples[0].metric.empty());
  CHECK(samples[1].id == "q1");
  CHECK(samples[1].task == "mill");
  CHECK(samples[1].metric == "qa-f1");
  CHECK(samples[1].answers == std::vector<std::string>{"very", "old"});
  CHECK(prompt_text(samples[1]) == "The mill is old.\n\nHow old? It is");
  CHECK(samples[2].id == "7");
  CHECK(samples[2].metric == "contains");
  CHECK(prompt_text(samples[2]) == "x\n\ny? The");
  CHECK(samples[3].answers == std::vector<std::string>{"4"});
  CHECK(samples[3].question.empty());
  CHECK(load_prompts(file.path(), 2).size() == 2);
}

TEST_CASE("Prompt files: generated prompts come back as they were", "[tasks]") {
  for (const TaskEntry& entry : task_registry()) {
    const Sample sample = make_sample(entry.name, Split::test, 0, 0);
    const std::string line = nlohmann::json{{"id", sample.id},
                                            {"context", sample.context},
                                            {"question", sample.question},
                                            {"answer_prefix", sample.answer_prefix},
                                            {"answers", sample.answers},
                                            {"metric", sample.metric.empty() ? "prefix" : sample.metric}}
                                 .dump();
    const TemporaryFile file("generated.jsonl", line);
    const auto samples = load_prompts(file.path());
    REQUIRE(samples.size() == 1);
    CHECK(all_text(samples[0]) == all_text(sample));
  }
}

TEST_CASE("Prompt files: plain text", "[tasks]") {
  const TemporaryFile text("walden.txt", "One line.\r\n\nAnother; ümlaut.\n");
  const auto samples = load_prompts(text.path());
  REQUIRE(samples.size() == 1);
  CHECK(samples[0].context == "One line.\n\nAnother; ümlaut.");
  CHECK(samples[0].task == "walden");
  CHECK(samples[0].id == "walden.txt");
  const TemporaryFile braces("braces.txt", "{not json}");
  CHECK(load_prompts(braces.path())[0].context == "{not json}");
  const TemporaryFile nameless("prompts", "\n  {\"context\": \"found by its first character\"}");
  CHECK(load_prompts(nameless.path())[0].context == "found by its first character");
}

TEST_CASE("Prompt files: published benchmarks", "[tasks]") {
  const TemporaryFile longbench(
      "any.jsonl",
      R"({"input": "Who?", "context": "Ann came.", "answers": ["Ann"], "length": 2, "dataset": "hotpotqa", "language": "en", "all_classes": null, "_id": "ab12"})"
      "\n"
      R"({"input": "", "context": "Long report.", "answers": ["Short."], "dataset": "gov_report_e", "_id": "ab13"})"
      "\n"
      R"({"input": "def f():", "context": "import x", "answers": ["    return 1"], "dataset": "repobench-p", "_id": "ab14"})"
      "\n");
  const auto lb = load_prompts(longbench.path());
  REQUIRE(lb.size() == 3);
  CHECK(lb[0].id == "ab12");
  CHECK(lb[0].task == "hotpotqa");
  CHECK(lb[0].metric == "qa-f1");
  CHECK(prompt_text(lb[0]) == "Ann came.\n\nQuestion: Who?\nAnswer:");
  CHECK(lb[1].metric == "longbench-rouge");
  CHECK(prompt_text(lb[1]) == "Long report.\n\nWrite a summary of the text above.\n\nSummary:");
  CHECK(lb[2].metric == "longbench-code");
  CHECK(lb[2].answers[0] == "    return 1");  // after a line's end the answer stays as it is
  CHECK(prompt_text(lb[2]) == "import x\ndef f():\nNext line of code:\n");

  const TemporaryFile infinite(
      "longbook_choice_eng.jsonl",
      R"({"id": 3, "context": "A book.", "input": "Who wins?", "answer": ["Bea"], "options": ["Ann", "Bea"]})");
  const auto ib = load_prompts(infinite.path());
  CHECK(ib[0].id == "3");
  CHECK(ib[0].task == "longbook_choice_eng");
  CHECK(ib[0].answers == std::vector<std::string>{"B", "Bea"});
  CHECK(ib[0].question == "\n\nQuestion: Who wins?\nA. Ann\nB. Bea");
  CHECK(ib[0].metric == "infinitebench-choice");
  const TemporaryFile number("passkey.jsonl",
                             R"({"id": 0, "context": "Text.", "input": "What is it?", "answer": 71432, "options": []})");
  CHECK(load_prompts(number.path())[0].answers == std::vector<std::string>{"71432"});

  const TemporaryFile second(
      "v2.jsonl",
      R"({"_id": "z", "domain": "d", "question": "Which?", "choice_A": "a1", "choice_B": "b1", "choice_C": "c1", "choice_D": "d1", "answer": "C", "context": "Text."})");
  const auto v2 = load_prompts(second.path());
  CHECK(v2[0].answers == std::vector<std::string>{"C", "c1"});
  CHECK(v2[0].question == "\n\nQuestion: Which?\nA. a1\nB. b1\nC. c1\nD. d1");
}

TEST_CASE("Prompt files: a number that cannot be read exactly is refused, not changed", "[tasks]") {
  const TemporaryFile large("large.jsonl", "{\"context\": \"x\", \"answers\": [123456789012345678901234567890]}");
  CHECK_THROWS_WITH(load_prompts(large.path()),
                    Contains("large.jsonl:1:") && Contains("too many digits") && Contains("in quotes"));
  const TemporaryFile exact("exact.jsonl", "{\"context\": \"x\", \"answers\": [18446744073709551615, 2.5]}");
  CHECK(load_prompts(exact.path())[0].answers == std::vector<std::string>{"18446744073709551615", "2.5"});
}

TEST_CASE("Prompt files: one clear line for every wrong input", "[tasks]") {
  struct Row {
    std::string line, message;
  };
  const std::string good = "{\"context\": \"fine\"}\n";
  const Row rows[] = {
      {"{", "is not valid JSON (byte 2); write one object per line"},
      {"hello", "is not valid JSON (byte 1); write one object per line"},
      {"{\"context\": \"a\"} {\"context\": \"b\"}", "is not valid JSON (byte 18); write one object per line"},
      {"{\"context\": \"a\x01\"}", "is not valid JSON (byte 15); write one object per line"},
      {"{\"context\": 1e999}", "is not valid JSON (a number out of range); write one object per line"},
      {"[1, 2]", "must be a JSON object, got array"},
      {"\"text\"", "must be a JSON object, got string"},
      {"null", "must be a JSON object, got null"},
      {"{}", "has no 'context'; a prompt needs at least the field 'context'"},
      {"{\"text\": \"a\"}", "has no 'context'; a prompt needs at least the field 'context'"},
      {"{\"context\": 5}", "'context' must be a string, got number"},
      {"{\"context\": \"\"}", "'context' is empty"},
      {"{\"context\": null}", "'context' is empty"},
      {"{\"context\": \"a\\u0000b\"}", "'context' holds a NUL character; remove it"},
      {"{\"context\": \"\xFF\"}", "is not UTF-8 text (byte 14); convert the file first"},
      {"{\"context\": \"\xC0\xAF\"}", "is not UTF-8 text (byte 14); convert the file first"},
      {"{\"context\": \"a\", \"question\": \"b\"}", "has a 'question' and no 'answers'; add the accepted answers"},
      {"{\"context\": \"a\", \"answer_prefix\": \"b\"}", "has an 'answer_prefix' and no 'answers'; add the accepted answers"},
      {"{\"context\": \"a\", \"question\": [\"b\"], \"answers\": [\"c\"]}", "'question' must be a string, got array"},
      {"{\"context\": \"a\", \"question\": \"b\", \"answers\": []}",
       "'answers' must hold at least one string; leave the field out for plain text"},
      {"{\"context\": \"a\", \"question\": \"b\", \"answers\": [\"\"]}", "'answers' must not hold empty strings"},
      {"{\"context\": \"a\", \"question\": \"b\", \"answers\": [\" \"]}", "'answers' must not hold empty strings"},
      {"{\"context\": \"a\", \"question\": \"b\", \"answers\": [[\"c\"]]}", "'answers' must hold strings, got array"},
      {"{\"context\": \"a\", \"question\": \"b\", \"answers\": {\"c\": 1}}", "'answers' must hold strings, got object"},
      {"{\"context\": \"a\", \"answers\": [\"b\"], \"metric\": \"bleu\x1b[2J\"}",
       "is not valid JSON (byte 51); write one object per line"},
      {"{\"context\": \"a\", \"answers\": [\"b\"], \"metric\": \"bleu\\u001b[2J\"}",
       "'metric' must be " + metric_names() + ", got 'bleu?[2J'"},
      {"{\"context\": \"a\", \"id\": \"b\\n\"}", "'id' must not hold control characters"},
      {"{\"context\": \"a\", \"id\": \"\"}", "'id' must have 1 to 200 bytes, got 0"},
      {"{\"context\": \"a\", \"task\": \"" + std::string(201, 'x') + "\"}", "'task' must have 1 to 200 bytes, got 201"},
      {"{\"context\": \"a\", \"task\": 1.5}", "'task' must be a string, got number"},
      {std::string(100'000, '['), "JSON may be nested at most 16 levels deep"},
      {"{\"context\": \"a\", \"x\": " + std::string(17, '[') + std::string(17, ']') + "}",
       "JSON may be nested at most 16 levels deep"},
  };
  for (const Row& row : rows) {
    INFO(row.line.substr(0, 100));
    const TemporaryFile file("bad.jsonl", good + row.line + "\n" + good);
    CHECK(message_of([&] { load_prompts(file.path()); }) == file.name() + ":2: " + row.message);
  }
}

TEST_CASE("Prompt files: limits and files that are none", "[tasks]") {
  const TemporaryFile empty("empty.jsonl", "\n\n");
  CHECK(message_of([&] { load_prompts(empty.path()); }) == empty.name() + ": holds no prompts");
  const TemporaryFile blank("blank.txt", " \n");
  CHECK(message_of([&] { load_prompts(blank.path()); }) == blank.name() + ": holds no text");
  const TemporaryFile array("array.json", "[\n{\"context\": \"a\"}]");
  CHECK(message_of([&] { load_prompts(array.path()); }) ==
        array.name() + ": is a JSON array; write one object per line, for example with jq -c '.[]'");
  const TemporaryFile binary("program.txt", std::string("ELF\0x", 5));
  CHECK(message_of([&] { load_prompts(binary.path()); }) == binary.name() + ":1: holds a NUL character; is this a text file?");
  const TemporaryFile latin("latin.txt", "fine\ncaf\xE9\n");
  CHECK(message_of([&] { load_prompts(latin.path()); }) == latin.name() + ":2: is not UTF-8 text; convert the file first");
  const auto folder = latin.path().parent_path();
  CHECK(message_of([&] { load_prompts(folder); }) == folder.string() + ": is a folder; give a file");
  CHECK(message_of([&] { load_prompts(folder / "none.jsonl"); }) == (folder / "none.jsonl").string() + ": does not exist");

  PromptFileLimits limits;
  limits.line_bytes = 100'000;
  limits.values = 50;
  limits.text_bytes = 1000;
  limits.answers = 3;
  const TemporaryFile wide("wide.jsonl", "{\"context\": \"" + std::string(200'000, 'a') + "\"}");
  CHECK(message_of([&] { PromptFile(wide.path(), limits).next(); }) ==
        wide.name() + ":1: a line may have at most 100000 bytes; split the record");
  std::string zeros = "{\"context\": \"a\", \"x\": [0";
  for (int i = 0; i < 60; ++i) zeros += ",0";
  const TemporaryFile many("many.jsonl", zeros + "]}");
  CHECK(message_of([&] { PromptFile(many.path(), limits).next(); }) == many.name() + ":1: may hold at most 50 JSON values");
  const TemporaryFile answers("answers.jsonl", R"({"context": "a", "answers": ["1", "2", "3", "4"]})");
  CHECK(message_of([&] { PromptFile(answers.path(), limits).next(); }) ==
        answers.name() + ":1: 'answers' may hold at most 3 strings, got 4");
  const TemporaryFile text("text.txt", std::string(1001, 'a'));
  CHECK(message_of([&] { PromptFile(text.path(), limits).next(); }) ==
        text.name() + ":1: a plain text may have at most 1000 bytes; split the file");
}

TEST_CASE("Prompt files: damaged lines give a sample or one line of error", "[tasks]") {
  const std::string seeds[] = {
      R"({"context": "a \u00e9 b", "question": "c?", "answers": ["d", "e"], "answer_prefix": " f", "id": 3, "metric": "exact"})",
      R"({"input": "Who?", "context": "Ann.", "answers": ["Ann"], "dataset": "hotpotqa", "_id": "ab12", "all_classes": null})",
      R"({"id": 3, "context": "A book.", "input": "Who?", "answer": ["Bea"], "options": ["Ann", "Bea"]})",
      R"({"_id": "z", "domain": "d", "question": "W?", "choice_A": "a", "choice_B": "b", "answer": "B", "context": "T."})"};
  const std::string_view pieces[] = {"\"", "{",     "}",  "[",       "]",    ",",    ":",    "null",
                                     "-1", "1e400", "\\", "\\ud800", "\xFF", "\xC3", "true", "\n"};
  Rng rng("damage", Split::test, 0, 0);
  for (int i = 0; i < 3000; ++i) {
    std::string line = seeds[rng.below(std::size(seeds))];
    for (std::uint64_t k = rng.between(1, 4); k > 0; --k) {
      const std::size_t at = rng.below(line.size());
      if (rng.below(3) == 0)
        line.erase(at, rng.between(1, 12));
      else
        line.replace(at, rng.below(6), pieces[rng.below(std::size(pieces))]);
      if (line.empty()) line.push_back(' ');
    }
    const TemporaryFile file("damaged.jsonl", line);
    const std::string message = message_of([&] { load_prompts(file.path()); });
    INFO(line << " -> " << message);
    REQUIRE((message.empty() || message.starts_with(file.name() + ":")));
    REQUIRE(message.find('\n') == std::string::npos);
    REQUIRE(message.find("json.exception") == std::string::npos);
  }
}

TEST_CASE("UTF-8 as RFC 3629 has it", "[tasks]") {
  for (const char* good : {"", "plain", "\xC2\x80", "\xDF\xBF", "\xE0\xA0\x80", "\xED\x9F\xBF", "\xEE\x80\x80",
                           "\xF0\x90\x80\x80", "\xF4\x8F\xBF\xBF", "aé漢😀b"})
    CHECK(first_invalid_utf8(good) == std::string_view(good).size());
  for (const char* bad : {"a\x80", "a\xC1\xBF", "a\xC2", "a\xC2g", "a\xE0\x9F\xBF", "a\xED\xA0\x80", "a\xE2\x82",
                          "a\xF0\x8F\xBF\xBF", "a\xF4\x90\x80\x80", "a\xF5\x80\x80\x80", "a\xFF", "a\xF0\x9F\x98g"})
    CHECK(first_invalid_utf8(bad) == 1);
}
