#include "report/table.hpp"

#include <algorithm>
#include <ostream>
#include <stdexcept>

#include "base/json_limits.hpp"
#include "report/fit_width.hpp"
#include "report/html.hpp"

namespace namm::report {
namespace {

std::string escape_latex(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\')
      out += "\\textbackslash{}";
    else if (c == '~' || c == '^')
      out += std::string("\\") + c + "{}";
    else if (c == '<')
      out += "\\textless{}";
    else if (c == '>')
      out += "\\textgreater{}";
    else if (c == '|')
      out += "\\textbar{}";
    else if (std::string_view("&%$#_{}").find(c) != std::string_view::npos)
      out += std::string("\\") + c;
    else
      out += c;
  }
  return out;
}

/// What a cell may hold in this format: one line, and nothing that ends the cell.
std::string cell_text(const std::string& text, TableFormat format) {
  std::string line = detail::one_line(text);
  if (format == TableFormat::text) return line;
  if (format == TableFormat::html) return escape_html(line);
  if (format == TableFormat::latex) return escape_latex(line);
  std::string out;
  for (const char c : line) {
    if (c == '|' || c == '\\' || c == '*' || c == '_' || c == '<' || c == '`') out += '\\';
    out += c;
  }
  return out;
}

std::string padded(const std::string& text, std::size_t width, bool left) {
  const std::size_t used = display_width(text);
  const std::string blanks(width > used ? width - used : 0, ' ');
  return left ? text + blanks : blanks + text;
}

void print_line(std::ostream& out, const std::vector<std::string>& cells, const std::vector<std::size_t>& widths,
                std::size_t left, TableFormat format) {
  std::string line;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const std::string cell = padded(cells[i], widths[i], i < left);
    if (format == TableFormat::markdown)
      line += "| " + cell + " ";
    else
      line += (i > 0 ? "  " : "") + cell;
  }
  if (format == TableFormat::markdown) line += "|";
  while (!line.empty() && line.back() == ' ') line.pop_back();
  out << line << '\n';
}

void print_html_row(std::ostream& out, const std::vector<std::string>& cells, std::size_t left, const char* element) {
  out << "<tr>";
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const bool row_head = i == 0 && *element == 'd';
    out << (row_head          ? "<th scope=row"
            : *element == 'd' ? "<td"
                              : "<th scope=col")
        << (i < left ? " class=left>" : ">") << cells[i] << (*element == 'd' && !row_head ? "</td>" : "</th>");
  }
  out << "</tr>\n";
}

void print_latex(std::ostream& out, const std::vector<std::vector<std::string>>& lines, std::size_t left) {
  const std::size_t columns = lines.front().size();
  out << "\\begin{tabular}{" << std::string(std::min(left, columns), 'l') << std::string(columns - std::min(left, columns), 'r')
      << "}\n\\toprule\n";
  for (std::size_t i = 0; i < lines.size(); ++i) {
    for (std::size_t k = 0; k < columns; ++k) {
      const std::string& cell = lines[i][k];
      // the end of the line before, or its rule, would take these for its own
      if (k == 0 && !cell.empty() && (cell[0] == '[' || cell[0] == '*'))
        out << '{' << cell[0] << '}' << cell.substr(1);
      else
        out << (k > 0 ? " & " : "") << cell;
    }
    out << " \\\\\n" << (i == 0 ? "\\midrule\n" : "");
  }
  out << "\\bottomrule\n\\end{tabular}\n";
}

}  // namespace

std::size_t display_width(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

void print_heading(std::ostream& out, const std::string& text, TableFormat format) {
  if (format == TableFormat::html) {
    out << "<h3>" << cell_text(text, format) << "</h3>\n";
    return;
  }
  if (format == TableFormat::latex) {
    out << "\\subsection*{" << cell_text(text, format) << "}\n";
    return;
  }
  const std::string line = cell_text(text, format);
  if (format == TableFormat::markdown)
    out << "### " << line << "\n\n";
  else
    out << wrapped(line, kScreenColumns) << '\n';
}

void print_note(std::ostream& out, const std::string& text, TableFormat format) {
  if (format == TableFormat::html)
    out << "<p class=note>" << cell_text(text, format) << "</p>\n";
  else if (format == TableFormat::latex)
    out << "\\par\\noindent{\\footnotesize " << cell_text(text, format) << "\\par}\n";
  else if (format == TableFormat::markdown)
    out << '\n' << cell_text(text, format) << '\n';
  else
    out << wrapped(cell_text(text, format), kScreenColumns) << '\n';
}

void print_table(std::ostream& out, const std::vector<std::string>& head, const std::vector<std::vector<std::string>>& rows,
                 std::size_t left, TableFormat format, bool wide) {
  std::vector<std::vector<std::string>> lines = {head};
  lines.insert(lines.end(), rows.begin(), rows.end());
  for (auto& line : lines) {
    if (line.size() != head.size())
      throw std::logic_error("table: rows must have " + std::to_string(head.size()) + " cells, one has " +
                             std::to_string(line.size()));
    for (std::string& cell : line) cell = cell_text(cell, format);
  }
  if (format == TableFormat::text && !wide) fit_first_column(lines, kScreenColumns);
  std::vector<std::size_t> widths(head.size(), format == TableFormat::markdown ? 3 : 1);
  for (const auto& line : lines)
    for (std::size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], display_width(line[i]));
  if (format == TableFormat::latex) return print_latex(out, lines, left);
  if (format == TableFormat::html) {
    out << "<div class=scroll tabindex=0><table>\n<thead>";
    print_html_row(out, lines.front(), left, "h");
    out << "</thead><tbody>\n";
    for (std::size_t i = 1; i < lines.size(); ++i) print_html_row(out, lines[i], left, "d");
    out << "</tbody></table></div>\n";
    return;
  }
  print_line(out, lines.front(), widths, left, format);
  std::vector<std::string> rule;
  for (std::size_t i = 0; i < widths.size(); ++i) {
    rule.emplace_back(widths[i], '-');
    if (format == TableFormat::markdown && i >= left) rule.back().back() = ':';
  }
  print_line(out, rule, widths, left, format);
  for (std::size_t i = 1; i < lines.size(); ++i) print_line(out, lines[i], widths, left, format);
}

}  // namespace namm::report
