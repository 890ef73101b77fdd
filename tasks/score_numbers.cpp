#include <algorithm>

#include "base/ascii.hpp"
#include "tasks/scores.hpp"

namespace namm::tasks {
namespace {

/// The next run of digits, which is taken off the front of `text`; empty at the end.
std::string_view take_number(std::string_view& text) {
  while (!text.empty() && !is_digit(text.front())) text.remove_prefix(1);
  std::size_t end = 0;
  while (end < text.size() && is_digit(text[end])) ++end;
  const std::string_view number = text.substr(0, end);
  text.remove_prefix(end);
  return number;
}

}  // namespace

double score_numbers(std::span<const std::string> answers, std::string_view generated) {
  double best = 0;
  for (const std::string& answer : answers) {
    std::string_view answer_rest = answer, rest = generated;
    const std::string_view wanted = take_number(answer_rest);
    if (wanted.empty()) continue;
    std::size_t right = 0, all = 0;
    for (std::string_view number = take_number(rest); !number.empty(); number = take_number(rest)) {
      ++all;
      right += number == wanted;
    }
    if (all > 0) best = std::max(best, static_cast<double>(right) / static_cast<double>(all));
  }
  return best;
}

}  // namespace namm::tasks
