#pragma once
#include <cstddef>
#include <string>
#include <vector>

namespace namm::report {

/// Columns of a terminal that tables and notes are made for.
inline constexpr std::size_t kScreenColumns = 100;

/// Shortens the first column's names in their middle ("very-lo…y.json") until the rows, two blanks between their columns, fit. At
/// least 12 characters remain, and names that would become the same stay as they are.
void fit_first_column(std::vector<std::vector<std::string>>& lines, std::size_t columns);

/// The text in lines of at most `columns`, broken at blanks.
std::string wrapped(const std::string& text, std::size_t columns);

}  // namespace namm::report
