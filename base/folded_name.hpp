#pragma once
#include <string>
#include <string_view>

namespace namm {

/// A name as people compare names: without letter case, '-', '_' and blanks ("Expected_Attention" is "expectedattention").
inline std::string folded_name(std::string_view name) {
  std::string out;
  for (const char c : name)
    if (c != '-' && c != '_' && c != ' ') out += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return out;
}

}  // namespace namm
