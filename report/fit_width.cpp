#include "report/fit_width.hpp"

#include <algorithm>
#include <set>

#include "report/table.hpp"

namespace namm::report {
namespace {

constexpr std::size_t kLeastName = 12;

/// The first or last characters of UTF-8 text, whole.
std::string head_of(const std::string& text, std::size_t characters) {
  std::size_t end = 0;
  while (end < text.size() && characters > 0) {
    ++end;
    while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) ++end;
    --characters;
  }
  return text.substr(0, end);
}

std::string tail_of(const std::string& text, std::size_t characters) {
  std::size_t begin = text.size();
  while (begin > 0 && characters > 0) {
    --begin;
    while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xC0) == 0x80) --begin;
    --characters;
  }
  return text.substr(begin);
}

std::string shortened(const std::string& text, std::size_t width) {
  if (display_width(text) <= width) return text;
  return head_of(text, width / 2) + "…" + tail_of(text, width - width / 2 - 1);
}

}  // namespace

void fit_first_column(std::vector<std::vector<std::string>>& lines, std::size_t columns) {
  if (lines.empty() || lines.front().empty()) return;
  std::vector<std::size_t> widths(lines.front().size(), 1);
  for (const auto& line : lines)
    for (std::size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], display_width(line[i]));
  std::size_t total = 2 * (widths.size() - 1);
  for (const std::size_t width : widths) total += width;
  if (total <= columns) return;
  const std::size_t excess = total - columns;
  const std::size_t width = std::max(kLeastName, widths[0] > excess ? widths[0] - excess : 0);
  std::set<std::string> before, after;
  for (const auto& line : lines) {
    before.insert(line[0]);
    after.insert(shortened(line[0], width));
  }
  if (after.size() < before.size()) return;
  for (auto& line : lines) line[0] = shortened(line[0], width);
}

std::string wrapped(const std::string& text, std::size_t columns) {
  std::string out, line;
  std::size_t begin = 0;
  while (begin <= text.size()) {
    const std::size_t end = std::min(text.find(' ', begin), text.size());
    const std::string word = text.substr(begin, end - begin);
    if (!line.empty() && display_width(line) + 1 + display_width(word) > columns) {
      out += line + "\n";
      line.clear();
    }
    line.append(line.empty() ? "" : " ").append(word);
    begin = end + 1;
  }
  return out + line;
}

}  // namespace namm::report
