#include "report/render.hpp"

#include <algorithm>
#include <filesystem>
#include <sstream>
#include <stdexcept>
#include <utility>

#include "report/export.hpp"
#include "report/page.hpp"
#include "report/result_table.hpp"
#include "report/retention_table.hpp"
#include "report/run_curve.hpp"
#include "report/summary.hpp"

namespace namm::report {
namespace {

constexpr std::pair<const char*, ReportFormat> kNames[] = {{"text", ReportFormat::text}, {"markdown", ReportFormat::markdown},
                                                           {"html", ReportFormat::html}, {"latex", ReportFormat::latex},
                                                           {"csv", ReportFormat::csv},   {"json", ReportFormat::json}};
constexpr std::pair<const char*, ReportFormat> kEndings[] = {
    {"", ReportFormat::text},     {".txt", ReportFormat::text},  {".md", ReportFormat::markdown}, {".html", ReportFormat::html},
    {".htm", ReportFormat::html}, {".tex", ReportFormat::latex}, {".csv", ReportFormat::csv},     {".json", ReportFormat::json}};

std::string tables(const ReportContent& content, TableFormat format, bool wide) {
  std::ostringstream out;
  if (format == TableFormat::latex) out << "% \\usepackage{booktabs} and UTF-8\n";
  if (format == TableFormat::markdown) print_summary(out, content.records, format);
  if (!content.records.empty()) print_results(out, content.records, format, wide);
  print_kinds(out, retentions_of(content.details), format, wide);
  for (const auto& [name, checkpoint] : content.runs) print_run(out, name, checkpoint, format);
  return out.str();
}

}  // namespace

std::string report_format_names() {
  std::string out;
  const std::size_t count = std::size(kNames);
  for (std::size_t i = 0; i < count; ++i) out.append(i == 0 ? "" : i + 1 == count ? " or " : ", ").append(kNames[i].first);
  return out;
}

ReportFormat parse_report_format(const std::string& name) {
  for (const auto& [known, format] : kNames)
    if (name == known) return format;
  throw std::invalid_argument("--format: must be " + report_format_names() + ", is \"" + name + "\"; leave it out for text");
}

std::optional<ReportFormat> format_of_ending(const std::string& file) {
  const std::string ending = std::filesystem::path(file).extension().string();
  for (const auto& [known, format] : kEndings)
    if (ending == known) return format;
  return std::nullopt;
}

std::string render(const ReportContent& content, ReportFormat format, bool wide) {
  switch (format) {
    case ReportFormat::html:
      return html_page(content);
    case ReportFormat::csv:
      return csv_of(content);
    case ReportFormat::json:
      return json_of(content).dump(1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
    case ReportFormat::markdown:
      return tables(content, TableFormat::markdown, wide);
    case ReportFormat::latex:
      return tables(content, TableFormat::latex, wide);
    case ReportFormat::text:
      break;
  }
  return tables(content, TableFormat::text, wide);
}

}  // namespace namm::report
