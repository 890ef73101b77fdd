#pragma once
#include <span>
#include <string>
#include <string_view>

namespace namm::tasks {

/// LongBench's classification_score (arXiv 2308.14508; trec, lsht): if the right class occurs in the text, one over the number
/// of classes that occur, else 0. Classes whose name is part of the right one's do not count, every second of neighbouring
/// ones excepted: the published scorer removes them from the list it walks through, and so do we.
/// @param classes  all class names (`all_classes`)
double score_longbench_classification(std::span<const std::string> answers, std::span<const std::string> classes,
                                      std::string_view generated);

/// LongBench's code_sim_score (lcc, repobench-p) to the letter: the first line without '`', '#' or "//" after leading line
/// ends, compared with the answer by the Levenshtein ratio 2 LCS / (a + b) over characters, rounded to whole per cent. White
/// space counts; the first 4096 bytes of each do.
double score_longbench_code(std::span<const std::string> answers, std::string_view generated);

}  // namespace namm::tasks
