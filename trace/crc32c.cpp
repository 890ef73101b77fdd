#include "trace/crc32c.hpp"

#include <array>
#include <bit>
#include <cstring>

namespace namm::trace {
namespace {

static_assert(std::endian::native == std::endian::little, "traces are read and written as they lie in memory");

/// tables[k][b]: what byte b does to the remainder when k more bytes follow it; eight bytes then cost eight look-ups.
constexpr auto make_tables() {
  std::array<std::array<std::uint32_t, 256>, 8> tables{};
  for (std::uint32_t b = 0; b < 256; ++b) {
    std::uint32_t rest = b;
    for (int bit = 0; bit < 8; ++bit) rest = (rest & 1) != 0 ? (rest >> 1) ^ 0x82f63b78u : rest >> 1;
    tables[0][b] = rest;
  }
  for (std::size_t k = 1; k < 8; ++k)
    for (std::size_t b = 0; b < 256; ++b) tables[k][b] = (tables[k - 1][b] >> 8) ^ tables[0][tables[k - 1][b] & 0xff];
  return tables;
}
constexpr auto kTables = make_tables();

}  // namespace

std::uint32_t crc32c(std::span<const std::byte> bytes) {
  std::uint32_t rest = 0xffffffffu;
  std::size_t i = 0;
  for (; i + 8 <= bytes.size(); i += 8) {
    std::uint64_t word;
    std::memcpy(&word, bytes.data() + i, sizeof word);
    word ^= rest;
    rest = 0;
    for (std::size_t k = 0; k < 8; ++k) rest ^= kTables[7 - k][(word >> (8 * k)) & 0xff];
  }
  for (; i < bytes.size(); ++i) rest = (rest >> 8) ^ kTables[0][(rest ^ static_cast<std::uint32_t>(bytes[i])) & 0xff];
  return ~rest;
}

}  // namespace namm::trace
