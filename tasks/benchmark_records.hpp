#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string_view>

namespace namm::tasks {

/// Rewrites the records of published benchmarks in the fields of our prompt files; leaves every other object as it is.
///
/// LongBench (`input`, `context`, `answers`, `dataset`): the question is `input` after "Question:", the answer prefix
/// "Answer:"; summaries, code and few-shot sets get their own. Metrics as published where scores.hpp has them: qa-f1 for
/// question answering, rouge-l for summaries, code-similarity for code, else contains.
/// LongBench v2 (`question`, `choice_A` ...) and InfiniteBench (`input`, `answer`, `options`): choices are listed with their
/// letters, letter and text are both accepted. `file_stem` names the InfiniteBench task, as its records do not.
void rewrite_benchmark_record(nlohmann::json& record, std::string_view file_stem);

}  // namespace namm::tasks
