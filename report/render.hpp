#pragma once
#include <optional>
#include <string>

#include "report/content.hpp"

namespace namm::report {

/// The forms that a report comes in.
enum class ReportFormat { text, markdown, html, latex, csv, json };

/// "text, markdown, html, latex, csv or json".
std::string report_format_names();
/// By its name. Throws std::invalid_argument naming --format.
ReportFormat parse_report_format(const std::string& name);
/// By the ending of a file's name: .txt or none, .md, .html or .htm, .tex, .csv, .json. Nothing for any other.
std::optional<ReportFormat> format_of_ending(const std::string& file);

/// The whole report. `wide`: every column of tables, without regard to the screen. Throws std::invalid_argument if the format is
/// csv and the content is of several kinds (results, details, runs): one table holds one kind.
std::string render(const ReportContent& content, ReportFormat format, bool wide = false);

}  // namespace namm::report
