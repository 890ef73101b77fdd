// Records of every LongBench and InfiniteBench task, made up here in the published form.
#include <nlohmann/json.hpp>

#include "tasks/data_task.hpp"
#include "tasks/prompt_file.hpp"
#include "tasks/scores.hpp"
#include "tests/check.hpp"
#include "tests/tasks/samples.hpp"

using namespace namm::tasks;
using namespace namm::tasks::testing;
using nlohmann::json;

namespace {

struct Expected {
  const char *name, *metric;
  int answer_tokens;
};
// metrics as in LongBench's eval.py, lengths as in its dataset2maxlen.json
constexpr Expected kLongBench[] = {{"narrativeqa", "qa-f1", 128},
                                   {"qasper", "qa-f1", 128},
                                   {"multifieldqa_en", "qa-f1", 64},
                                   {"multifieldqa_zh", "qa-f1", 64},
                                   {"hotpotqa", "qa-f1", 32},
                                   {"2wikimqa", "qa-f1", 32},
                                   {"musique", "qa-f1", 32},
                                   {"dureader", "longbench-rouge", 128},
                                   {"gov_report", "longbench-rouge", 512},
                                   {"qmsum", "longbench-rouge", 512},
                                   {"multi_news", "longbench-rouge", 512},
                                   {"vcsum", "longbench-rouge", 512},
                                   {"trec", "first-line:longbench-classification", 64},
                                   {"triviaqa", "first-line:qa-f1", 32},
                                   {"samsum", "first-line:longbench-rouge", 128},
                                   {"lsht", "first-line:longbench-classification", 64},
                                   {"passage_count", "numbers", 32},
                                   {"passage_retrieval_en", "numbers", 32},
                                   {"passage_retrieval_zh", "numbers", 32},
                                   {"lcc", "longbench-code", 64},
                                   {"repobench-p", "longbench-code", 64}};

Sample load_one(const std::string& file_name, const json& record) {
  const TemporaryFile file(file_name, record.dump() + "\n");
  return load_prompts(file.path()).at(0);
}

/// The gold answer scores 1, nothing scores 0.
void check_scores(const Sample& sample) {
  INFO(sample.task << " " << sample.metric << " " << sample.answers.at(0));
  const DataTask task("one", {sample}, FileSplits::shared);
  CHECK(task.score(sample, continuation(sample, sample.answers[0])) == Approx(1.0).margin(1e-6));
  CHECK(task.score(sample, "") == 0);
  CHECK(task.score(sample, "qqq") == 0);
}

}  // namespace

TEST_CASE("LongBench: every task has its published metric and length", "[tasks]") {
  for (const Expected& expected : kLongBench)
    for (const char* ending : {"", "_e"}) {
      const std::string name = expected.name, dataset = name + ending;
      const bool classes = name == "trec" || name == "lsht";
      const char* answer = classes                                  ? "Number"
                           : name == "passage_count"                ? "7"
                           : name == "passage_retrieval_zh"         ? "段落7"
                           : name.starts_with("passage_retr")       ? "Paragraph 7"
                           : name.ends_with("zh")                   ? "东京"
                           : name == "lcc" || name == "repobench-p" ? "    return value;"
                                                                    : "The old mill";
      const json record = {{"input", "Who?"},
                           {"context", "A long text."},
                           {"answers", {answer}},
                           {"length", 3},
                           {"dataset", dataset},
                           {"language", "en"},
                           {"all_classes", classes ? json{"Number", "Date"} : json()},
                           {"_id", "0a1b"}};
      const Sample sample = load_one("any.jsonl", record);
      INFO(dataset);
      CHECK(sample.task == dataset);
      CHECK(sample.id == "0a1b");
      CHECK(sample.metric == expected.metric);
      CHECK(sample.answer_tokens == expected.answer_tokens);
      CHECK(sample.choices.size() == (classes ? 2 : 0));
      CHECK(sample.question.find("Who?") != std::string::npos);
      CHECK(DataTask("one", {sample}, FileSplits::shared).max_answer_tokens() == expected.answer_tokens);
      check_scores(sample);
    }
}

TEST_CASE("InfiniteBench: every task has its published metric and length", "[tasks]") {
  struct Row {
    Expected expected;
    json answer, options;
    std::string gold;
  };
  const json names = {"alpha", "beta", "gamma", "delta"};
  const Row rows[] = {{{"passkey", "infinitebench-integer", 6}, {"71432"}, json::array(), "71432"},
                      {{"number_string", "infinitebench-integer", 12}, {"2200012232"}, json::array(), "2200012232"},
                      {{"kv_retrieval", "infinitebench-kv", 50}, {"ab-cd"}, json::array(), "ab-cd"},
                      {{"longbook_sum_eng", "rouge-lsum", 1200}, {"A book about a mill."}, json::array(), "A book about a mill."},
                      {{"longbook_choice_eng", "infinitebench-choice", 40}, {"beta"}, names, "B"},
                      {{"longbook_qa_eng", "qa-f1", 40}, {"Ann", "Anna"}, json::array(), "Ann"},
                      {{"longbook_qa_chn", "char-f1", 40}, {"张三"}, json::array(), "张三"},
                      {{"longdialogue_qa_eng", "infinitebench-dialogue", 40}, {"JULIA"}, json::array(), "JULIA"},
                      {{"math_find", "infinitebench-math-find", 3}, json::array({42}), json::array(), "42"},
                      {{"math_calc", "infinitebench-math-calc", 4096}, json::array({1, 4, 8}), json::array(), "1, 4, 8"},
                      {{"code_run", "infinitebench-code-run", 5}, json::array({-5}), json::array(), "-5"},
                      {{"code_debug", "infinitebench-code-debug", 5}, {"gamma"}, names, "C. gamma"}};
  for (const Row& row : rows) {
    const json record = {
        {"id", 3}, {"context", "A long text."}, {"input", "What?"}, {"answer", row.answer}, {"options", row.options}};
    const Sample sample = load_one(std::string(row.expected.name) + ".jsonl", record);
    INFO(row.expected.name);
    CHECK(sample.task == row.expected.name);
    CHECK(sample.metric == row.expected.metric);
    CHECK(sample.answer_tokens == row.expected.answer_tokens);
    CHECK(sample.answers[0] == row.gold);
    CHECK(sample.question.find("What?") != std::string::npos);
    if (row.options.size() == 4) {
      CHECK(sample.choices == names.get<std::vector<std::string>>());
      CHECK(sample.question.find("\nA. alpha\nB. beta\nC. gamma\nD. delta") != std::string::npos);
    }
    check_scores(sample);
  }
}

TEST_CASE("Records of published benchmarks: what is wrong in them is one line", "[tasks]") {
  const json good = {{"context", "A."}, {"input", "B?"}, {"answers", {"c"}}, {"dataset", "trec"}};
  const auto message = [&](const char* field, const json& value) {
    json record = good;
    record[field] = value;
    return message_of([&] { load_one("bad.jsonl", record); });
  };
  const auto ends = [](const std::string& text, const char* end) {
    INFO(text);
    CHECK(text.ends_with(end));
    CHECK(text.find("bad.jsonl:1: ") != std::string::npos);
  };
  ends(message("all_classes", json{1}), "'choices' must hold strings, got number");
  ends(message("choices", "x"), "'choices' must be a list of strings, got string");
  ends(message("choices", std::vector<std::string>(1001, "x")), "'choices' may hold at most 1000 strings, got 1001");
  for (const json& wrong : {json(0), json(4097), json(-1), json(1.5), json("9"), json(18446744073709551615ULL)})
    ends(message("answer_tokens", wrong), "'answer_tokens' must be a whole number from 1 to 4096");
  ends(message("answers", json::array()), "'answers' must hold at least one string; leave the field out for plain text");
  CHECK(message("all_classes", nullptr).empty());
}
