#pragma once
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

namespace namm::detail {

/// Reads the fields of one JSON object. Everything wrong throws std::runtime_error of the form
/// "field policy.depth must be 1 or 2, is 7; ...". `path` is what stands before the names, e.g. "policy.".
class JsonFields {
 public:
  JsonFields(const nlohmann::json& object, std::string path);
  /// Refuses fields with other names: they may matter, and this version does not know them.
  void allow_only(std::initializer_list<std::string_view> names) const;
  bool has(std::string_view name) const;
  const nlohmann::json& need(std::string_view name) const;

  std::string text(std::string_view name) const;
  std::int64_t integer(std::string_view name, std::int64_t low, std::int64_t high) const;
  bool boolean(std::string_view name) const;
  /// Finite as float32.
  float number(std::string_view name) const;
  /// Finite.
  double wide_number(std::string_view name) const;
  /// NaN where the field is missing or null, as number_or_null writes it.
  double number_or_nan(std::string_view name) const;
  /// "" where the field is missing or null.
  std::string text_or_empty(std::string_view name) const;
  /// `count` finite float32 values, of a list or packed.
  std::vector<float> numbers(std::string_view name, std::size_t count) const;
  JsonFields object(std::string_view name) const;

  [[noreturn]] void refuse(std::string_view name, const std::string& rule, const std::string& remedy = {}) const;

 private:
  const nlohmann::json* find(std::string_view name) const;
  const nlohmann::json& object_;
  std::string path_;
};

/// JSON has no infinities and no NaN.
nlohmann::json number_or_null(double value);
/// A float32 as the JSON number of its 9 significant digits, which reads back as the same bits.
nlohmann::json number_of(float value);
nlohmann::json numbers_of(const std::vector<float>& values);

/// A list of float32 or float64 (`number_bytes` 4 or 8, little-endian) as one value, which JsonFields::numbers() reads without
/// looking at every number as JSON: binary, with the size of a number as its subtype. JSON text has no such values.
nlohmann::json packed_numbers(std::string_view bytes, std::size_t number_bytes);
/// The same value with lists in the place of packed numbers, float32 as number_of().
nlohmann::json with_lists(nlohmann::json value);

}  // namespace namm::detail
