#include "tasks/longbench_scores.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "tasks/text_tokens.hpp"

namespace namm::tasks {
namespace {

/// Characters of UTF-8, at most 4096 bytes of them.
std::vector<std::string_view> characters_of(std::string_view text) {
  text = text.substr(0, 4096);
  std::vector<std::string_view> characters;
  for (std::size_t i = 0; i < text.size(); i += characters.back().size()) {
    std::size_t end = i + 1;
    while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) ++end;
    characters.push_back(text.substr(i, end - i));
  }
  return characters;
}

/// "" if every line has one of the signs.
std::string_view first_line_of_code(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of('\n'), text.size()));
  while (true) {
    const std::size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    if (line.find_first_of("`#") == std::string_view::npos && line.find("//") == std::string_view::npos) return line;
    if (end == std::string_view::npos) return {};
    text.remove_prefix(end + 1);
  }
}

}  // namespace

double score_longbench_classification(std::span<const std::string> answers, std::span<const std::string> classes,
                                      std::string_view generated) {
  double best = 0;
  for (const std::string& answer : answers) {
    std::vector<std::string_view> found;
    for (const std::string& name : classes)
      if (!name.empty() && generated.find(name) != std::string_view::npos) found.push_back(name);
    for (std::size_t i = 0; i < found.size(); ++i)
      if (found[i] != answer && answer.find(found[i]) != std::string::npos)
        found.erase(std::find(found.begin(), found.end(), found[i]));  // and the next one is passed over, as published
    if (std::find(found.begin(), found.end(), answer) != found.end())
      best = std::max(best, 1.0 / static_cast<double>(found.size()));
  }
  return best;
}

double score_longbench_code(std::span<const std::string> answers, std::string_view generated) {
  const auto line = characters_of(first_line_of_code(generated));
  double best = 0;
  for (const std::string& answer : answers) {
    const auto wanted = characters_of(answer);
    if (line.empty() || wanted.empty()) continue;
    const std::size_t common =
        longest_common_subsequence(std::span<const std::string_view>(line), std::span<const std::string_view>(wanted));
    best =
        std::max(best, std::nearbyint(100.0 * f1(common, line.size(), wanted.size())) / 100.0);  // half to even, as Python rounds
  }
  return best;
}

}  // namespace namm::tasks
