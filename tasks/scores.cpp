#include "tasks/scores.hpp"

#include <algorithm>

#include "base/ascii.hpp"

namespace namm::tasks {
namespace {

bool is_word(char c) {  // ASCII only: other scripts may write words without spaces between them
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

bool equal_at(std::string_view text, std::size_t at, std::string_view answer) {
  if (at + answer.size() > text.size()) return false;
  for (std::size_t i = 0; i < answer.size(); ++i)
    if (lower(text[at + i]) != lower(answer[i])) return false;
  return true;
}

/// The answer text[at, end) is not cut out of a longer word or number.
bool starts_clean(std::string_view text, std::size_t at) {
  if (at == 0 || !is_word(text[at])) return true;
  if (is_word(text[at - 1])) return false;
  const bool inside_number =
      is_digit(text[at]) && at > 1 && (text[at - 1] == '.' || text[at - 1] == ',') && is_digit(text[at - 2]);
  return !inside_number;
}
bool ends_clean(std::string_view text, std::size_t end) {
  if (end >= text.size() || !is_word(text[end - 1])) return true;
  if (is_word(text[end])) return false;
  const bool inside_number =
      is_digit(text[end - 1]) && (text[end] == '.' || text[end] == ',') && end + 1 < text.size() && is_digit(text[end + 1]);
  return !inside_number;
}

bool any_answer(std::span<const std::string> answers, auto&& matches) {
  return std::any_of(answers.begin(), answers.end(), [&](const std::string& answer) {
    const std::string_view trimmed = trim(answer);
    return !trimmed.empty() && matches(trimmed);
  });
}

}  // namespace

double score_prefix(std::span<const std::string> answers, std::string_view generated) {
  const std::string_view text = trim(generated);
  return any_answer(answers,
                    [&](std::string_view answer) { return equal_at(text, 0, answer) && ends_clean(text, answer.size()); });
}

double score_contains(std::span<const std::string> answers, std::string_view generated) {
  return any_answer(answers, [&](std::string_view answer) {
    for (std::size_t at = 0; at + answer.size() <= generated.size(); ++at)
      if (equal_at(generated, at, answer) && starts_clean(generated, at) && ends_clean(generated, at + answer.size()))
        return true;
    return false;
  });
}

double score_contains_all(std::span<const std::string> answers, std::string_view generated) {
  double best = 0;
  for (const std::string& answer : answers) {
    std::size_t parts = 0, found = 0;
    for (std::size_t begin = 0; begin <= answer.size();) {
      const std::size_t end = std::min(answer.find(',', begin), answer.size());
      const std::string part(trim(std::string_view(answer).substr(begin, end - begin)));
      begin = end + 1;
      if (part.empty()) continue;
      ++parts;
      found += score_contains({&part, 1}, generated) > 0;
    }
    if (parts > 0) best = std::max(best, static_cast<double>(found) / static_cast<double>(parts));
  }
  return best;
}

double score_exact(std::span<const std::string> answers, std::string_view generated) {
  std::string_view text = trim(generated);
  return any_answer(answers, [&](std::string_view answer) {
    if (text.size() == answer.size() + 1 && text.back() == '.') return equal_at(text, 0, answer);
    return text.size() == answer.size() && equal_at(text, 0, answer);
  });
}

bool may_become(std::span<const std::string> answers, std::string_view begun) {
  while (!begun.empty() && is_space(begun.front())) begun.remove_prefix(1);
  return any_answer(answers, [&](std::string_view answer) {
    const std::size_t both = std::min(begun.size(), answer.size());
    return equal_at(begun, 0, answer.substr(0, both));
  });
}

}  // namespace namm::tasks
