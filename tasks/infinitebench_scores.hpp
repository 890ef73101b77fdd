#pragma once
#include <span>
#include <string>
#include <string_view>

namespace namm::tasks {

// InfiniteBench's scorers (arXiv 2402.13718, compute_scores.py), for the metrics named infinitebench-*. White space before the
// text is skipped first, as a model's answer here begins with the space that the prompt leaves out.

/// passkey, number_string: the first run of digits is the answer.
double score_first_integer(std::span<const std::string> answers, std::string_view generated);
/// kv_retrieval: the answer is one of the words between white space and \n : " ' . , ? ! { }.
double score_kv_retrieval(std::span<const std::string> answers, std::string_view generated);
/// code_run: the last word is the answer's integer.
double score_code_run(std::span<const std::string> answers, std::string_view generated);
/// code_debug: the text begins with the letter of the answer ("B. name") and '.' or ':', or says so after "answer is:",
/// "is:" or "answer:", by letter or by name.
double score_code_debug(std::span<const std::string> answers, std::string_view generated);
/// longbook_choice_eng: the first letter, else the whole text, else what follows "answer is", "answer:" or "option is", else the
/// first word that is a letter from A to D, is an accepted answer.
double score_choice(std::span<const std::string> answers, std::string_view generated);
/// longdialogue_qa_eng: the first answer, in capitals, is one of the text's words.
double score_dialogue(std::span<const std::string> answers, std::string_view generated);
/// math_find: the first number equals the answer; an answer with a point is compared as a floating-point number, one without
/// as an integer.
double score_math_find(std::span<const std::string> answers, std::string_view generated);
/// math_calc: of the numbers of the answer ("3, 7, -2, ..."), the share before the first one that differs. Minus signs in the
/// text are not read, as published.
double score_math_calc(std::span<const std::string> answers, std::string_view generated);
/// longbook_qa_chn: F1 over characters without ASCII and CJK punctuation and white space, ASCII letters in lower case.
double score_char_f1(std::span<const std::string> answers, std::string_view generated);

}  // namespace namm::tasks
