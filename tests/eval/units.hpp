#pragma once
#include <string>
#include <vector>

/// "0", "1", ...: as many independent prompts.
inline std::vector<std::string> numbered(std::size_t count) {
  std::vector<std::string> out;
  for (std::size_t i = 0; i < count; ++i) out.push_back(std::to_string(i));
  return out;
}
