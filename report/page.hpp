#pragma once
#include <string>

#include "report/content.hpp"

namespace namm::report {

/// The whole report as one HTML page that needs nothing else: style, script, charts (SVG) and data are in it, and it forbids
/// itself the network. Tables and charts need no script; what a policy kept of a prompt does. Everything that comes from files is
/// escaped.
std::string html_page(const ReportContent& content);

}  // namespace namm::report
