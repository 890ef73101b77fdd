#pragma once
#include <fstream>
#include <stdexcept>
#include <string>

#include <nlohmann/json.hpp>

namespace golden {

/// A file that tests/eval/golden/record.py wrote.
inline nlohmann::json load(const std::string& name) {
  const std::string path = std::string(NAMM_SOURCE_DIR) + "/tests/eval/golden/" + name;
  std::ifstream in(path);
  if (!in) throw std::runtime_error(path + ": cannot be read");
  return nlohmann::json::parse(in);
}

}  // namespace golden
