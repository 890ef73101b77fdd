#pragma once
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

namespace namm::report {

/// Text from anywhere as HTML text or attribute value: markup is escaped, control characters become blanks, bytes that are no
/// UTF-8 become U+FFFD.
std::string escape_html(std::string_view text);

/// JSON that may stand inside a <script> element: ASCII only, no '<', '>' or '&'.
std::string script_json(const nlohmann::json& value);

}  // namespace namm::report
