#include "tasks/benchmark_records.hpp"

#include <array>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace namm::tasks {
namespace {

using nlohmann::json;

bool has_string(const json& record, const char* field) {
  return record.contains(field) && record[field].is_string();
}

bool starts_with_any(std::string_view name, std::initializer_list<std::string_view> prefixes) {
  for (const std::string_view prefix : prefixes)
    if (name.starts_with(prefix)) return true;
  return false;
}

/// What is put around `input`, and how the answer is scored.
struct Form {
  std::string before, after, answer_prefix, metric;
};

Form form_of_dataset(std::string_view name) {
  if (name.ends_with("_e")) name.remove_suffix(2);  // LongBench-E
  if (starts_with_any(name, {"lcc", "repobench-p"})) return {"\n", "", "\nNext line of code:\n", "code-similarity"};
  if (starts_with_any(name, {"gov_report", "multi_news", "vcsum", "longbook_sum"}))
    return {"\n\n", "Write a summary of the text above.", "\n\nSummary:", "rouge-l"};
  if (starts_with_any(name, {"qmsum"})) return {"\n\nQuestion: ", "", "\nAnswer:", "rouge-l"};
  if (starts_with_any(name, {"dureader"})) return {"\n\n问题:", "", "\n回答:", "rouge-l"};
  if (starts_with_any(name, {"multifieldqa_zh"})) return {"\n\n问题:", "", "\n回答:", "qa-f1"};
  if (starts_with_any(name, {"trec", "lsht"})) return {"\n", "", "", "contains"};  // few-shot: `input` ends with its own prefix
  if (starts_with_any(name, {"samsum"})) return {"\n", "", "", "rouge-l"};
  if (starts_with_any(name, {"triviaqa"})) return {"\n", "", "", "qa-f1"};
  if (starts_with_any(name, {"passage_retrieval_en"})) return {"\n\nAbstract: ", "", "\n\nThe abstract is from", "contains"};
  if (starts_with_any(name, {"passage_retrieval_zh"})) return {"\n\n摘要:", "", "\n\n答案是", "contains"};
  if (starts_with_any(name, {"passage_count"}))
    return {"\n\n", "How many different paragraphs are there?", "\n\nThe final answer is:", "contains"};
  if (starts_with_any(name, {"narrativeqa", "qasper", "multifieldqa_en", "hotpotqa", "2wikimqa", "musique", "longbook_qa"}))
    return {"\n\nQuestion: ", "", "\nAnswer:", "qa-f1"};
  return {"\n\n", "", "\nAnswer:", "contains"};
}

void set_default(json& record, const char* field, json value) {
  if (!record.contains(field)) record[field] = std::move(value);
}

/// Lists the choices after the question and accepts letter or text of the right one.
void list_choices(json& record, const std::vector<std::string>& choices, const json& right) {
  std::string question = record["question"].get<std::string>();
  json answers = json::array();
  for (std::size_t i = 0; i < choices.size() && i < 26; ++i) {
    const std::string letter(1, static_cast<char>('A' + i));
    question += "\n" + letter + ". " + choices[i];
    if (right == letter || right == choices[i]) answers = {letter, choices[i]};
  }
  record["question"] = std::move(question);
  if (!answers.empty()) record["answers"] = std::move(answers);
  set_default(record, "answer_prefix", "\nAnswer:");
  record["metric"] = "prefix";
}

void rewrite_longbench_v2(json& record) {
  std::vector<std::string> choices;
  for (const char* field : {"choice_A", "choice_B", "choice_C", "choice_D"})
    if (has_string(record, field)) choices.push_back(record[field].get<std::string>());
  record["question"] = "\n\nQuestion: " + record["question"].get<std::string>();
  list_choices(record, choices, record["answer"]);
  if (has_string(record, "_id")) set_default(record, "id", record["_id"]);
  if (has_string(record, "domain")) set_default(record, "task", record["domain"]);
}

void rewrite_input_record(json& record, std::string_view file_stem) {
  std::string name(file_stem);
  if (has_string(record, "dataset")) name = record["dataset"].get<std::string>();
  set_default(record, "task", name);
  if (has_string(record, "_id")) set_default(record, "id", record["_id"]);
  if (!record.contains("answers")) record["answers"] = record["answer"];

  const Form form = form_of_dataset(name);
  record["question"] = form.before + record["input"].get<std::string>() + form.after;
  set_default(record, "answer_prefix", form.answer_prefix);
  set_default(record, "metric", form.metric);

  std::vector<std::string> choices;
  if (record.contains("options") && record["options"].is_array())
    for (const json& option : record["options"])
      if (option.is_string()) choices.push_back(option.get<std::string>());
  const json& right = record["answers"];
  if (!choices.empty()) list_choices(record, choices, json(right.is_array() && !right.empty() ? right[0] : right));
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
