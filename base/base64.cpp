#include "base/base64.hpp"

#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <stdexcept>

namespace namm {
namespace {

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::uint8_t kInvalid = 255;

constexpr std::array<std::uint8_t, 256> make_inverse() {
  std::array<std::uint8_t, 256> inverse{};
  inverse.fill(kInvalid);
  for (std::size_t i = 0; i < kAlphabet.size(); ++i)
    inverse[static_cast<std::uint8_t>(kAlphabet[i])] = static_cast<std::uint8_t>(i);
  return inverse;
}
constexpr auto kInverse = make_inverse();

[[noreturn]] void not_base64(std::string_view rule) {
  throw std::runtime_error("base64 text: " + std::string(rule) + "; the file is damaged");
}

std::uint64_t to_little_endian(std::uint64_t bits) {
  if constexpr (std::endian::native == std::endian::little) return bits;
  std::uint64_t out = 0;
  for (int i = 0; i < 8; ++i) out |= ((bits >> (8 * i)) & 0xff) << (8 * (7 - i));
  return out;
}

}  // namespace

std::string base64_encode(std::span<const std::uint8_t> bytes) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t left = bytes.size() - i;
    const std::uint32_t group = std::uint32_t{bytes[i]} << 16 | (left > 1 ? std::uint32_t{bytes[i + 1]} << 8 : 0) |
                                (left > 2 ? std::uint32_t{bytes[i + 2]} : 0);
    text += kAlphabet[group >> 18];
    text += kAlphabet[group >> 12 & 63];
    text += left > 1 ? kAlphabet[group >> 6 & 63] : '=';
    text += left > 2 ? kAlphabet[group & 63] : '=';
  }
  return text;
}

std::vector<std::uint8_t> base64_decode(std::string_view text) {
  if (text.size() % 4 != 0) not_base64("length must be a multiple of 4, is " + std::to_string(text.size()));
  std::vector<std::uint8_t> bytes;
  bytes.reserve(text.size() / 4 * 3);
  for (std::size_t i = 0; i < text.size(); i += 4) {
    const bool last = i + 4 == text.size();
    const int padding = last ? (text[i + 3] == '=') + (text[i + 2] == '=' && text[i + 3] == '=') : 0;
    std::uint32_t group = 0;
    for (int j = 0; j < 4; ++j) {
      const std::uint8_t value = j >= 4 - padding ? std::uint8_t{0} : kInverse[static_cast<std::uint8_t>(text[i + j])];
      if (value == kInvalid) not_base64("character " + std::to_string(i + j) + " is not in the alphabet");
      group = group << 6 | value;
    }
    if ((padding >= 1 && (group & 0xff) != 0) || (padding == 2 && (group & 0xffff) != 0))
      not_base64("bits behind the last byte are set");
    bytes.push_back(static_cast<std::uint8_t>(group >> 16));
    if (padding < 2) bytes.push_back(static_cast<std::uint8_t>(group >> 8));
    if (padding < 1) bytes.push_back(static_cast<std::uint8_t>(group));
  }
  return bytes;
}

std::string encode_doubles(std::span<const double> values) {
  std::vector<std::uint8_t> bytes(values.size() * 8);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::uint64_t bits = to_little_endian(std::bit_cast<std::uint64_t>(values[i]));
    std::memcpy(bytes.data() + 8 * i, &bits, 8);
  }
  return base64_encode(bytes);
}

std::vector<double> decode_doubles(std::string_view text, std::size_t count, std::string_view what) {
  const std::vector<std::uint8_t> bytes = base64_decode(text);
  if (bytes.size() != count * 8) {
    throw std::runtime_error(std::string(what) + ": must hold " + std::to_string(count) + " numbers of 8 bytes, has " +
                             std::to_string(bytes.size()) + " bytes; the file is damaged or belongs to another run");
  }
  std::vector<double> values(count);
  for (std::size_t i = 0; i < count; ++i) {
    std::uint64_t bits = 0;
    std::memcpy(&bits, bytes.data() + 8 * i, 8);
    values[i] = std::bit_cast<double>(to_little_endian(bits));
    if (!std::isfinite(values[i])) {
      throw std::runtime_error(std::string(what) + ": number " + std::to_string(i) + " must be finite; the file is damaged");
    }
  }
  return values;
}

}  // namespace namm
