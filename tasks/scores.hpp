#pragma once
#include <span>
#include <string>
#include <string_view>

#include "tasks/task.hpp"

namespace namm::tasks {

/// 1 if the generated text, trimmed, starts with an accepted answer and the answer ends there: not inside a longer word or
/// number (4821 matches "4821." and not "48213", "4821.5" or "4,821"). Letter case is ignored. Empty answers never match.
double score_prefix(std::span<const std::string> answers, std::string_view generated);
/// RULER's string_match (arXiv 2404.06654, any of the references): 1 if an accepted answer occurs anywhere in the text,
/// ignoring letter case, as whole words and numbers.
double score_contains(std::span<const std::string> answers, std::string_view generated);
/// RULER's string_match_all: the share of the answer's parts (separated by commas) that occur anywhere in the text, as
/// `score_contains`; the best over the answers. Substrings of words and numbers do not count, as they do there.
double score_contains_all(std::span<const std::string> answers, std::string_view generated);
/// 1 if the trimmed text equals an accepted answer, ignoring letter case and one final full stop.
double score_exact(std::span<const std::string> answers, std::string_view generated);

/// Whether a text that begins with `begun` can still get more than 0 from score_prefix or score_exact: without white space in
/// front of it and ignoring letter case, it is the beginning of an accepted answer or begins with one.
bool may_become(std::span<const std::string> answers, std::string_view begun);

/// Token F1 of SQuAD and LongBench (arXiv 2308.14508, qa_f1_score), best over the answers: lower case, without punctuation and
/// a/an/the. Each character of a script without spaces counts as a token (LongBench segments Chinese with jieba instead).
double score_qa_f1(std::span<const std::string> answers, std::string_view generated);
/// ROUGE-L F1 (Lin 2004) over lower-case tokens of the whole text, best over the answers; the first 4096 tokens count.
double score_rouge_l(std::span<const std::string> answers, std::string_view generated);
/// As LongBench's code_sim_score: the first generated line without '`', '#' or "//", compared with the answer by
/// 2 LCS / (a + b) over bytes. Empty lines and indentation do not count; of each, the first 4096 bytes do.
double score_code_similarity(std::span<const std::string> answers, std::string_view generated);

/// LongBench's count_score and retrieval_score: of the numbers (runs of digits) in the text, the share that equals the answer's
/// first number; 0 if either has none.
double score_numbers(std::span<const std::string> answers, std::string_view generated);

/// The score by a metric's name (metrics.cpp lists them); with "first-line:" before the name only the first line that is not
/// empty counts, as in LongBench's few-shot tasks. Published scorers of single benchmarks are in longbench_scores.hpp,
/// infinitebench_scores.hpp and rouge.hpp. Throws std::invalid_argument that lists the names if there is no such metric.
/// @param choices  what `Sample::choices` holds; only some metrics look at it
double score_by_metric(std::string_view metric, std::span<const std::string> answers, std::string_view generated,
                       std::span<const std::string> choices = {});
/// Whether `score_by_metric` knows it.
bool is_metric(std::string_view metric);
/// "prefix, contains, ... or code-similarity", for messages.
std::string metric_names();

}  // namespace namm::tasks
