#pragma once
#include <iosfwd>
#include <span>
#include <string>
#include <vector>

#include "eval/record.hpp"

namespace namm::report {

enum class TableFormat { text, markdown, html };

/// Rows of equal length under a head; columns aligned in text, valid GitHub Markdown, or an HTML table. The first `left` columns
/// are flush left, the others flush right. Cells may hold anything: control characters become blanks, markup is escaped.
void print_table(std::ostream& out, const std::vector<std::string>& head, const std::vector<std::vector<std::string>>& rows,
                 std::size_t left, TableFormat format);

/// A heading over a table, or in the middle of a text.
void print_heading(std::ostream& out, const std::string& text, TableFormat format);

/// A sentence below a table.
void print_note(std::ostream& out, const std::string& text, TableFormat format);

/// A table per task and length: policies and budgets with quality, its interval, change of log-likelihood, savings and rates.
/// With more than one table per model and settings, one more over all of them. A '*' marks what the full cache's value is outside
/// of. A row that was measured twice is shown once, as measured last, and a note says so.
void print_results(std::ostream& out, std::span<const eval::ResultRecord> records, TableFormat format);

/// Characters of a UTF-8 text, for alignment.
std::size_t display_width(std::string_view text);

}  // namespace namm::report
