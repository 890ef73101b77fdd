#include "tasks/benchmark_records.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace namm::tasks {
namespace {

using nlohmann::json;

bool has_string(const json& record, const char* field) {
  return record.contains(field) && record[field].is_string();
}

bool is_one_of(std::string_view name, std::initializer_list<std::string_view> names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// What is put around `input`, how the answer is scored, and how many tokens the published evaluations give it.
struct Form {
  std::string before, after, answer_prefix, metric;
  int answer_tokens;
};

Form form_of_longbench(std::string_view name) {
  if (name.ends_with("_e")) name.remove_suffix(2);  // LongBench-E
  const std::string question = "\n\nQuestion: ", ask = "\n\n问题:", reply = "\n回答:";
  if (is_one_of(name, {"lcc", "repobench-p"})) return {"\n", "", "\nNext line of code:\n", "longbench-code", 64};
  if (is_one_of(name, {"gov_report", "multi_news"}))
    return {"\n\n", "Write a summary of the text above.", "\n\nSummary:", "longbench-rouge", 512};
  if (name == "vcsum") return {"\n\n", "请总结上面的会议记录。", "\n\n会议总结:", "longbench-rouge", 512};
  if (name == "qmsum") return {question, "", "\nAnswer:", "longbench-rouge", 512};
  if (name == "dureader") return {ask, "", reply, "longbench-rouge", 128};
  if (name == "multifieldqa_zh") return {ask, "", reply, "qa-f1", 64};
  // few-shot: `input` ends with its own answer prefix, and a model goes on with further examples
  if (is_one_of(name, {"trec", "lsht"})) return {"\n", "", "", "first-line:longbench-classification", 64};
  if (name == "samsum") return {"\n", "", "", "first-line:longbench-rouge", 128};
  if (name == "triviaqa") return {"\n", "", "", "first-line:qa-f1", 32};
  if (name == "passage_retrieval_en") return {"\n\nAbstract: ", "", "\n\nThe abstract is from", "numbers", 32};
  if (name == "passage_retrieval_zh") return {"\n\n摘要:", "", "\n\n答案是", "numbers", 32};
  if (name == "passage_count")
    return {"\n\n", "How many different paragraphs are there?", "\n\nThe final answer is:", "numbers", 32};
  if (is_one_of(name, {"narrativeqa", "qasper"})) return {question, "", "\nAnswer:", "qa-f1", 128};
  if (name == "multifieldqa_en") return {question, "", "\nAnswer:", "qa-f1", 64};
  if (is_one_of(name, {"hotpotqa", "2wikimqa", "musique"})) return {question, "", "\nAnswer:", "qa-f1", 32};
  return {"\n\n", "", "\nAnswer:", "contains", 0};
}

Form form_of_infinitebench(std::string_view name) {
  if (name == "passkey") return {"\n\n", "", "\nThe pass key is", "infinitebench-integer", 6};
  if (name == "number_string") return {"\n\n", "", "\nThe sequence of digits is", "infinitebench-integer", 12};
  if (name == "kv_retrieval") return {"\n\n", "", "", "infinitebench-kv", 50};
  if (name == "longbook_sum_eng") return {"\n\n", "Write a summary of the book above.", "\n\nSummary:", "rouge-lsum", 1200};
  if (name == "longbook_choice_eng")
    return {"\n\nQuestion: ", "", "\nThe letter of the correct answer is", "infinitebench-choice", 40};
  if (name == "longbook_qa_eng") return {"\n\nQuestion: ", "", "\nAnswer:", "qa-f1", 40};
  if (name == "longbook_qa_chn") return {"\n\n问题:", "", "\n答案:", "char-f1", 40};
  if (name == "longdialogue_qa_eng")
    return {"\n\n", "", "\nThe name that has been replaced with $$MASK$$ is", "infinitebench-dialogue", 40};
  if (name == "math_find") return {"\n\n", "", "\nAnswer:", "infinitebench-math-find", 3};
  if (name == "math_calc") return {"\n\n", "", "\nValues:", "infinitebench-math-calc", 4096};
  if (name == "code_run") return {"\n\n", "", "\nThe return value is", "infinitebench-code-run", 5};
  if (name == "code_debug") return {"\n\n", "", "\nThe correct option is:", "infinitebench-code-debug", 5};
  return form_of_longbench(name);
}

void set_default(json& record, const char* field, json value) {
  if (!record.contains(field)) record[field] = std::move(value);
}

/// Lists the choices after the question and accepts letter or text of the right one; with `as_listed` "B. text" instead, as the
/// scorer of code_debug wants a full stop behind the letter.
void list_choices(json& record, const std::vector<std::string>& choices, const json& right, bool as_listed) {
  std::string question = record["question"].get<std::string>();
  json answers = json::array();
  for (std::size_t i = 0; i < choices.size() && i < 26; ++i) {
    const std::string letter(1, static_cast<char>('A' + i));
    question += "\n" + letter + ". " + choices[i];
    if (right == letter || right == choices[i]) answers = as_listed ? json{letter + ". " + choices[i]} : json{letter, choices[i]};
  }
  record["question"] = std::move(question);
  if (!answers.empty()) record["answers"] = std::move(answers);
  set_default(record, "choices", choices);
  set_default(record, "answer_prefix", "\nAnswer:");
  set_default(record, "metric", "prefix");
}

/// [1, 4, 8] as the one answer "1, 4, 8": its numbers are no alternatives.
json one_list(const json& numbers) {
  std::string text;
  for (const json& number : numbers)
    text.append(text.empty() ? "" : ", ").append(number.is_string() ? number.get<std::string>() : number.dump());
  return text;
}

void rewrite_longbench_v2(json& record) {
  std::vector<std::string> choices;
  for (const char* field : {"choice_A", "choice_B", "choice_C", "choice_D"})
    if (has_string(record, field)) choices.push_back(record[field].get<std::string>());
  record["question"] = "\n\nQuestion: " + record["question"].get<std::string>();
  list_choices(record, choices, record["answer"], false);
  if (has_string(record, "_id")) set_default(record, "id", record["_id"]);
  if (has_string(record, "domain")) set_default(record, "task", record["domain"]);
}

void rewrite_input_record(json& record, std::string_view file_stem) {
  std::string name(file_stem);
  if (has_string(record, "dataset")) name = record["dataset"].get<std::string>();
  set_default(record, "task", name);
  if (has_string(record, "_id")) set_default(record, "id", record["_id"]);
  const bool longbench = record.contains("answers");
  if (!longbench) record["answers"] = record["answer"];

  const Form form = longbench ? form_of_longbench(name) : form_of_infinitebench(name);
  record["question"] = form.before + record["input"].get<std::string>() + form.after;
  set_default(record, "answer_prefix", form.answer_prefix);
  set_default(record, "metric", form.metric);
  if (form.answer_tokens > 0) set_default(record, "answer_tokens", form.answer_tokens);
  if (record.contains("all_classes") && record["all_classes"].is_array()) set_default(record, "choices", record["all_classes"]);
  if (form.metric == "infinitebench-math-calc" && record["answers"].is_array()) record["answers"] = one_list(record["answers"]);

  std::vector<std::string> choices;
  if (record.contains("options") && record["options"].is_array())
    for (const json& option : record["options"])
      if (option.is_string()) choices.push_back(option.get<std::string>());
  const json& right = record["answers"];
  if (!choices.empty())
    list_choices(record, choices, json(right.is_array() && !right.empty() ? right[0] : right),
                 form.metric == "infinitebench-code-debug");
}

}  // namespace

void rewrite_benchmark_record(json& record, std::string_view file_stem) {
  if (!record.is_object() || !has_string(record, "context")) return;
  if (has_string(record, "question") && has_string(record, "choice_A") && record.contains("answer"))
    rewrite_longbench_v2(record);
  else if (has_string(record, "input") && !record.contains("question") &&
           (record.contains("answers") || record.contains("answer")))
    rewrite_input_record(record, file_stem);
}

}  // namespace namm::tasks
