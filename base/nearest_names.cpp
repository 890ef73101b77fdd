#include "base/nearest_names.hpp"

#include <algorithm>
#include <numeric>

namespace namm {
namespace {

/// Levenshtein distance: insertions, deletions, replacements.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

}  // namespace

std::vector<std::string> nearest_names(std::string_view typed, std::span<const std::string_view> known, std::size_t count) {
  const std::string_view head = typed.substr(0, 64);  // hostile lengths cost nothing
  std::vector<std::pair<std::size_t, std::size_t>> order;
  for (std::size_t i = 0; i < known.size(); ++i) order.emplace_back(edit_distance(head, known[i]), i);
  std::sort(order.begin(), order.end());
  std::vector<std::string> out;
  for (std::size_t i = 0; i < std::min(count, order.size()); ++i) out.emplace_back(known[order[i].second]);
  return out;
}

}  // namespace namm
