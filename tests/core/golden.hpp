#pragma once
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace golden {

/// {"shape": [...], "data": [...]}, row-major.
struct Array {
  std::vector<std::size_t> shape;
  std::vector<float> data;

  /// All values behind the leading indices, e.g. slice(head, token) of [head][token][bin].
  template <typename... Index>
  std::span<const float> slice(Index... leading) const {
    std::size_t offset = 0, length = data.size(), axis = 0;
    ((length /= shape[axis++], offset += static_cast<std::size_t>(leading) * length), ...);
    return std::span<const float>(data).subspan(offset, length);
  }
};

inline Array array(const nlohmann::json& value) {
  return {value.at("shape").get<std::vector<std::size_t>>(), value.at("data").get<std::vector<float>>()};
}

inline std::vector<std::int32_t> integers(std::span<const float> values) {
  return {values.begin(), values.end()};
}

inline nlohmann::json load(const std::string& name) {
  const char* folder = std::getenv("NAMM_GOLDEN_DIR");
  const std::string path =
      (folder != nullptr ? std::string(folder) : std::string(NAMM_SOURCE_DIR) + "/tests/golden") + "/" + name;
  std::ifstream file(path);
  if (!file) throw std::runtime_error(path + ": cannot be read; set NAMM_GOLDEN_DIR");
  return nlohmann::json::parse(file);
}

/// Largest |a - b|; infinite if a value is not finite or the sizes differ.
inline double largest_error(std::span<const float> got, std::span<const float> wanted) {
  if (got.size() != wanted.size()) return INFINITY;
  double worst = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double error = std::abs(double{got[i]} - double{wanted[i]});
    if (!(error <= worst)) worst = std::isnan(error) ? INFINITY : error;
  }
  return worst;
}

/// Largest |a - b| / (absolute + relative * |b|): at most 1 passes.
inline double largest_excess(std::span<const float> got, std::span<const float> wanted, double absolute, double relative) {
  if (got.size() != wanted.size()) return INFINITY;
  double worst = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double excess = std::abs(double{got[i]} - double{wanted[i]}) / (absolute + relative * std::abs(double{wanted[i]}));
    if (!(excess <= worst)) worst = std::isnan(excess) ? INFINITY : excess;
  }
  return worst;
}

/// Prints a measured error if the environment variable NAMM_TEST_REPORT is set.
template <typename... Part>
void report(const Part&... part) {
  if (std::getenv("NAMM_TEST_REPORT") == nullptr) return;
  (std::cerr << ... << part) << '\n';
}

}  // namespace golden
