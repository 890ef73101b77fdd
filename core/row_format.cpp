#include "namm/row_format.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <stdexcept>

#include "kernels/row_format.hpp"

namespace namm {
namespace {

constexpr std::array<std::string_view, 3> kNames = {"f16", "q8_0", "q4_0"};  // in the order of RowFormat
constexpr std::string_view kMeans = "means";
constexpr int kMostMeans = 16;

std::string_view name_of(RowFormat format) {
  return kNames[static_cast<std::size_t>(format)];
}

[[noreturn]] void refuse(std::string_view text) {
  throw std::invalid_argument(
      "store: must be f16, q8_0, q4_0, or one of them for keys and one for values (q8_0,q4_0), with 1 to 16 means of evicted "
      "tokens or without (f16+4means), is \"" +
      std::string(text) + "\"; f16 is what is meant without it");
}

RowFormat parse_one(std::string_view name, std::string_view text) {
  for (const RowFormat format : {RowFormat::f16, RowFormat::q8_0, RowFormat::q4_0})
    if (name == name_of(format)) return format;
  refuse(text);
}

int parse_means(std::string_view words, std::string_view text) {
  int count = 0;
  const auto [end, error] = std::from_chars(words.data(), words.data() + words.size(), count);
  if (error != std::errc{} || words.starts_with('0') || std::string_view(end, words.data() + words.size()) != kMeans ||
      count < 1 || count > kMostMeans)
    refuse(text);
  return count;
}

}  // namespace

RowFormats parse_row_formats(std::string_view text) {
  const std::size_t plus = text.find('+'), comma = text.find(',');
  const std::string_view rows = text.substr(0, plus);
  RowFormats out;
  out.keys = parse_one(rows.substr(0, comma), text);
  out.values = comma == std::string_view::npos ? out.keys : parse_one(rows.substr(std::min(rows.size(), comma + 1)), text);
  if (plus != std::string_view::npos) out.means = parse_means(text.substr(plus + 1), text);
  return out;
}

std::string to_string(const RowFormats& formats) {
  std::string out(name_of(formats.keys));
  if (formats.values != formats.keys) out.append(",").append(name_of(formats.values));
  if (formats.means > 0) out.append("+").append(std::to_string(formats.means)).append(kMeans);
  return out;
}

double usual_compression(const RowFormats& formats) {
  constexpr std::size_t kSize = kernels::kScaleGroup;
  return 4.0 * kSize / static_cast<double>(kernels::row_bytes(formats.keys, kSize) + kernels::row_bytes(formats.values, kSize));
}

int tokens_of_means(const RowFormats& formats, double compression) {
  return static_cast<int>(std::ceil(formats.means * compression));
}

}  // namespace namm
