#include "namm/row_format.hpp"

#include <array>
#include <stdexcept>

namespace namm {
namespace {

constexpr std::array<std::string_view, 3> kNames = {"f16", "q8_0", "q4_0"};  // in the order of RowFormat

std::string_view name_of(RowFormat format) {
  return kNames[static_cast<std::size_t>(format)];
}

RowFormat parse_one(std::string_view name, std::string_view text) {
  for (const RowFormat format : {RowFormat::f16, RowFormat::q8_0, RowFormat::q4_0})
    if (name == name_of(format)) return format;
  throw std::invalid_argument("store: must be f16, q8_0, q4_0, or one of them for keys and one for values (q8_0,q4_0), is \"" +
                              std::string(text) + "\"");
}

}  // namespace

RowFormats parse_row_formats(std::string_view text) {
  const std::size_t comma = text.find(',');
  const RowFormat keys = parse_one(text.substr(0, comma), text);
  return {keys, comma == std::string_view::npos ? keys : parse_one(text.substr(comma + 1), text)};
}

std::string to_string(const RowFormats& formats) {
  std::string out(name_of(formats.keys));
  if (formats.values != formats.keys) out.append(",").append(name_of(formats.values));
  return out;
}

}  // namespace namm
