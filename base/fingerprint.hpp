#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace namm {

/// 16 hexadecimal digits.
std::string hex_digits(std::uint64_t value);
/// Those of a text's FNV-1a (64 bits): tells contents apart, nothing more.
std::string fingerprint(std::string_view text);

}  // namespace namm
