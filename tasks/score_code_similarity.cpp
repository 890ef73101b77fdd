#include <algorithm>

#include "tasks/scores.hpp"
#include "tasks/text_tokens.hpp"

namespace namm::tasks {
namespace {

/// The first line that is neither empty nor has a sign of a comment or of Markdown.
std::string_view first_code_line(std::string_view text) {
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    const bool blank = line.find_first_not_of(" \t\r") == std::string_view::npos;
    const bool comment = line.find_first_of("`#") != std::string_view::npos || line.find("//") != std::string_view::npos;
    if (!blank && !comment) return line;
    text.remove_prefix(std::min(text.size(), line.size() + 1));
  }
  return {};
}

}  // namespace

double score_code_similarity(std::span<const std::string> answers, std::string_view generated) {
  constexpr std::size_t kMost = 4096;
  const auto trimmed = [](std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\r')) text.remove_suffix(1);
    return text.substr(0, kMost);
  };
  const std::string_view line = trimmed(first_code_line(generated));
  double best = 0;
  for (const std::string& answer : answers) {
    const std::string_view wanted = trimmed(answer);
    const std::size_t common = longest_common_subsequence(std::span<const char>(line), std::span<const char>(wanted));
    best = std::max(best, f1(common, line.size(), wanted.size()));
  }
  return best;
}

}  // namespace namm::tasks
