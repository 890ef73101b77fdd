#include "base/nearest_names.hpp"

#include <algorithm>
#include <numeric>
#include <tuple>
#include <utility>

namespace namm {
namespace {

/// Insertions, deletions, replacements, and neighbours that changed places (optimal string alignment).
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before, last, row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    before = std::exchange(last, row);
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      row[j + 1] = std::min({last[j] + (a[i] == b[j] ? 0 : 1), row[j] + 1, last[j + 1] + 1});
      if (i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j]) row[j + 1] = std::min(row[j + 1], before[j - 1] + 1);
    }
  }
  return row.back();
}

std::size_t apart(std::size_t a, std::size_t b) {
  return a > b ? a - b : b - a;
}

}  // namespace

std::vector<std::string> nearest_names(std::string_view typed, std::span<const std::string_view> known, std::size_t count) {
  const std::string_view head = typed.substr(0, 64);                     // hostile lengths cost nothing
  std::vector<std::tuple<std::size_t, std::size_t, std::size_t>> order;  // of equal distance, the one of equal length
  for (std::size_t i = 0; i < known.size(); ++i)
    order.emplace_back(edit_distance(head, known[i]), apart(head.size(), known[i].size()), i);
  std::sort(order.begin(), order.end());
  std::vector<std::string> out;
  for (std::size_t i = 0; i < std::min(count, order.size()); ++i) out.emplace_back(known[std::get<2>(order[i])]);
  return out;
}

std::vector<std::string> probable_names(std::string_view typed, std::span<const std::string_view> known) {
  std::vector<std::string> out = nearest_names(typed, known);
  std::erase_if(out, [&](const std::string& name) { return 2 * edit_distance(typed.substr(0, 64), name) > typed.size(); });
  return out;
}

std::string probable_name(std::string_view typed, std::span<const std::string_view> known) {
  const std::vector<std::string> names = probable_names(typed, known);
  return names.empty() ? std::string() : names.front();
}

}  // namespace namm
