#pragma once
#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

namespace namm::report {

enum class TableFormat { text, markdown, html, latex };

/// Rows of equal length under a head; columns aligned in text, valid GitHub Markdown, an HTML table or LaTeX (booktabs). The
/// first `left` columns are flush left, the others flush right. Cells may hold anything: control characters become blanks, markup
/// is escaped. Text is fitted to the screen by shortening names in the first column, unless `wide`.
void print_table(std::ostream& out, const std::vector<std::string>& head, const std::vector<std::vector<std::string>>& rows,
                 std::size_t left, TableFormat format, bool wide = false);

/// A heading over a table, or in the middle of a text.
void print_heading(std::ostream& out, const std::string& text, TableFormat format);

/// A sentence below a table.
void print_note(std::ostream& out, const std::string& text, TableFormat format);

/// Characters of a UTF-8 text, for alignment.
std::size_t display_width(std::string_view text);

}  // namespace namm::report
