#pragma once
#include <span>
#include <string>
#include <string_view>

namespace namm::tasks {

/// ROUGE-L as LongBench measures it (arXiv 2308.14508, rouge_score: the summary-level score of the Python package rouge 1.0):
/// sentences end at full stops, words at white space, letter case and punctuation count, and a word counts once however often
/// it comes. The first 4096 words count. Each character of a script without spaces is a word (LongBench segments with jieba).
double score_longbench_rouge(std::span<const std::string> answers, std::string_view generated);

/// rougeLsum as InfiniteBench measures it (arXiv 2402.13718, longbook_sum_eng: the Python package rouge-score): sentences end
/// at line ends, words are runs of ASCII letters and digits in lower case. The first 4096 words count.
double score_rouge_lsum(std::span<const std::string> answers, std::string_view generated);

}  // namespace namm::tasks
