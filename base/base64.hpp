#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace namm {

/// RFC 4648 base64 with padding, no line breaks.
std::string base64_encode(std::span<const std::uint8_t> bytes);
/// Throws std::runtime_error on anything that base64_encode would not have written (length, alphabet, padding).
std::vector<std::uint8_t> base64_decode(std::string_view text);

/// Numbers as base64 of little-endian float64, so that large matrices fit into JSON bit for bit.
std::string encode_doubles(std::span<const double> values);
/// Throws std::runtime_error if the text is not base64 or does not hold `count` finite numbers; `what` names them in the message.
std::vector<double> decode_doubles(std::string_view text, std::size_t count, std::string_view what);

}  // namespace namm
