#pragma once

namespace namm {

/// Kinds of ASCII characters, whatever the locale.
constexpr bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}
constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

}  // namespace namm
