#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string_view>

namespace namm::tasks {

/// Rewrites the records of published benchmarks in the fields of our prompt files; leaves every other object as it is.
///
/// LongBench (arXiv 2308.14508: `input`, `context`, `answers`, `dataset`, `all_classes`) and InfiniteBench (arXiv 2402.13718:
/// `input`, `context`, `answer`, `options`; the file's name is the task): every task gets the metric and the answer length of
/// the published evaluation. The words around the question are ours, and come after the context only. LongBench v2 (arXiv
/// 2412.15204: `question`, `choice_A` ...): letter and text of the right choice are both accepted. Options are listed with
/// their letters. What differs from the published scores: Chinese is cut into characters (LongBench: into jieba's words).
/// @param file_stem  names the task of a record that does not
void rewrite_benchmark_record(nlohmann::json& record, std::string_view file_stem);

}  // namespace namm::tasks
