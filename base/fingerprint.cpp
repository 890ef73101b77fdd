#include "base/fingerprint.hpp"

#include <cstdio>

#include "base/fnv1a.hpp"

namespace namm {

std::string hex_digits(std::uint64_t value) {
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(value));
  return text;
}

std::string fingerprint(std::string_view text) {
  return hex_digits(fnv1a(text));
}

}  // namespace namm
