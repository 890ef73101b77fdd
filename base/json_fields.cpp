#include "base/json_fields.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>
#include <stdexcept>

#include "base/json_limits.hpp"

namespace namm::detail {
namespace {

using nlohmann::json;

std::size_t packed_count(const json& value) {
  return value.get_binary().size() / value.get_binary().subtype();
}

double packed_number(const json& value, std::size_t index) {
  const auto& bytes = value.get_binary();
  float narrow = 0;
  double wide = 0;
  if (bytes.subtype() == sizeof wide) {
    std::memcpy(&wide, bytes.data() + index * sizeof wide, sizeof wide);
    return wide;
  }
  std::memcpy(&narrow, bytes.data() + index * sizeof narrow, sizeof narrow);
  return narrow;
}

/// The value as an error shows it: short, one line.
std::string describe(const json* value) {
  if (value == nullptr) return "missing";
  if (value->is_array()) return "a list of " + std::to_string(value->size());
  if (value->is_binary()) return "a list of " + std::to_string(packed_count(*value));
  if (value->is_object()) return "an object";
  std::string text = value->dump(-1, ' ', true, json::error_handler_t::replace);
  if (text.size() > 40) text = text.substr(0, 40) + "...";
  return text;
}

bool read_float(double wide, float& out) {
  // 9 digits of the largest float are a little above it; from the middle to the next power of two on, it is another number
  constexpr double largest = std::numeric_limits<float>::max();
  if (!(std::abs(wide) < 0x1.ffffffp127)) return false;
  out = static_cast<float>(std::clamp(wide, -largest, largest));
  return true;
}

bool read_float(const json& value, float& out) {
  return value.is_number() && read_float(value.get<double>(), out);
}

}  // namespace

JsonFields::JsonFields(const json& object, std::string path) : object_(object), path_(std::move(path)) {
  if (object_.is_object()) return;
  const std::string name = path_.empty() ? "content" : "field " + path_.substr(0, path_.size() - 1);
  throw std::runtime_error(name + " must be a JSON object, is " + describe(&object_) +
                           "; write it with 'namm evolve' or 'namm calibrate'");
}

const json* JsonFields::find(std::string_view name) const {
  const auto found = object_.find(std::string(name));
  return found == object_.end() ? nullptr : &*found;
}

bool JsonFields::has(std::string_view name) const {
  return find(name) != nullptr;
}

void JsonFields::refuse(std::string_view name, const std::string& rule, const std::string& remedy) const {
  throw std::runtime_error("field " + path_ + std::string(name) + " must be " + rule + ", is " + describe(find(name)) +
                           (remedy.empty() ? "; correct it or write the file anew" : "; " + remedy));
}

void JsonFields::allow_only(std::initializer_list<std::string_view> names) const {
  for (const auto& [name, value] : object_.items()) {
    if (std::find(names.begin(), names.end(), name) != names.end()) continue;
    std::string known;
    for (const std::string_view one : names) known += (known.empty() ? "" : ", ") + std::string(one);
    throw std::runtime_error("field " + path_ + one_line(name.substr(0, 40)) + " is unknown to this version (known: " +
                             (known.empty() ? "none" : known) + "); use the version of namm that wrote it, or remove the field");
  }
}

const json& JsonFields::need(std::string_view name) const {
  const json* value = find(name);
  if (value == nullptr) refuse(name, "present");
  return *value;
}

std::string JsonFields::text(std::string_view name) const {
  const json* value = find(name);
  if (value == nullptr || !value->is_string()) refuse(name, "text");
  return value->get<std::string>();
}

std::int64_t JsonFields::integer(std::string_view name, std::int64_t low, std::int64_t high) const {
  const json* value = find(name);
  const std::string rule = "a whole number from " + std::to_string(low) + " to " + std::to_string(high);
  if (value == nullptr || !value->is_number_integer()) refuse(name, rule);
  if (value->is_number_unsigned() && value->get<std::uint64_t>() > static_cast<std::uint64_t>(std::max<std::int64_t>(high, 0))) {
    refuse(name, rule);
  }
  const std::int64_t number = value->get<std::int64_t>();
  if (number < low || number > high) refuse(name, rule);
  return number;
}

bool JsonFields::boolean(std::string_view name) const {
  const json* value = find(name);
  if (value == nullptr || !value->is_boolean()) refuse(name, "true or false");
  return value->get<bool>();
}

float JsonFields::number(std::string_view name) const {
  const json* value = find(name);
  float out = 0;
  if (value == nullptr || !read_float(*value, out)) refuse(name, "a finite number");
  return out;
}

double JsonFields::wide_number(std::string_view name) const {
  const json* value = find(name);
  if (value == nullptr || !value->is_number() || !std::isfinite(value->get<double>())) refuse(name, "a finite number");
  return value->get<double>();
}

double JsonFields::number_or_nan(std::string_view name) const {
  const json* value = find(name);
  if (value == nullptr || value->is_null()) return std::numeric_limits<double>::quiet_NaN();
  if (!value->is_number()) refuse(name, "a number or null");
  return value->get<double>();
}

std::string JsonFields::text_or_empty(std::string_view name) const {
  const json* value = find(name);
  return value == nullptr || value->is_null() ? std::string() : text(name);
}

std::vector<float> JsonFields::numbers(std::string_view name, std::size_t count) const {
  const json* value = find(name);
  const bool packed = value != nullptr && value->is_binary();
  if (value == nullptr || !(packed || value->is_array()) || (packed ? packed_count(*value) : value->size()) != count) {
    refuse(name, "a list of " + std::to_string(count) + " numbers");
  }
  std::vector<float> out(count);
  for (std::size_t i = 0; i < count; ++i) {
    if (packed ? read_float(packed_number(*value, i), out[i]) : read_float((*value)[i], out[i])) continue;
    const json seen = packed ? json(packed_number(*value, i)) : (*value)[i];
    throw std::runtime_error("field " + path_ + std::string(name) + "[" + std::to_string(i) + "] must be a finite number, is " +
                             describe(&seen) + "; correct it or write the file anew");
  }
  return out;
}

JsonFields JsonFields::object(std::string_view name) const {
  return JsonFields(need(name), path_ + std::string(name) + ".");
}

json number_or_null(double value) {
  return std::isfinite(value) ? json(value) : json(nullptr);
}

json number_of(float value) {
  std::array<char, 64> text;
  const auto printed = std::to_chars(text.data(), text.data() + text.size(), value, std::chars_format::general, 9);
  double wide = 0;
  std::from_chars(text.data(), printed.ptr, wide);
  return wide;
}

json numbers_of(const std::vector<float>& values) {
  json list = json::array();
  for (const float value : values) list.push_back(number_of(value));
  return list;
}

json packed_numbers(std::string_view bytes, std::size_t number_bytes) {
  return json::binary(std::vector<std::uint8_t>(bytes.begin(), bytes.end()), number_bytes);
}

json with_lists(json value) {
  if (value.is_binary()) {
    const bool narrow = value.get_binary().subtype() == sizeof(float);
    json list = json::array();
    for (std::size_t i = 0; i < packed_count(value); ++i)
      list.push_back(narrow ? number_of(static_cast<float>(packed_number(value, i))) : json(packed_number(value, i)));
    return list;
  }
  if (value.is_structured())
    for (json& child : value) child = with_lists(std::move(child));
  return value;
}

}  // namespace namm::detail
