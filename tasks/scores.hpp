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
/// 1 if the trimmed text equals an accepted answer, ignoring letter case and one final full stop.
double score_exact(std::span<const std::string> answers, std::string_view generated);

/// `prefix`, `contains` or `exact`. Throws std::invalid_argument that lists the names for another.
double score_by_metric(std::string_view metric, std::span<const std::string> answers, std::string_view generated);
/// Whether `score_by_metric` knows it.
bool is_metric(std::string_view metric);

}  // namespace namm::tasks
