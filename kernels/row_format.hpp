#pragma once
// How a list holds the keys or the values of one KV head. Either way in blocks of 64 entries, one behind the other:
//
//   keys    f16   F16 [size][64]
//           q8_0  codes int8 [size][64], then scales F16 [size / 32][64]
//           q4_0  codes of two numbers in a byte [size / 2][64], then scales F16 [size / 32][64]
//   values  f16   F16 [64][size]
//           q8_0  codes int8 [64][size], then scales F16 [size / 32][64]
//           q4_0  codes of two numbers in a byte [64][size / 2], then scales F16 [size / 32][64]
//
// A number is code * scale; 32 numbers of an entry that lie side by side share a scale (the last of a size that 32 does not
// divide: fewer). Codes of 4 bits are from -8 to 7; byte k of a group has number k in its low half and number k + 16 in its high
// half, of a group of n numbers n / 2 rounded up in place of 16 (ggml pairs them so, too). Such rows are held rotated
// (rotation.hpp): queries have to be rotated, too, and what comes out of values is rotated back.
#include <cstddef>
#include <cstdint>
#include <span>

#include "namm/row_format.hpp"

namespace namm::kernels {

/// Entries per block. Within a block keys lie transposed: one load serves 64 entries, for one query as for many, and no tile has
/// to be transposed again for every query.
inline constexpr std::size_t kBlock = 64;
/// Numbers that share a scale.
inline constexpr std::size_t kScaleGroup = 32;

constexpr std::size_t blocks_of(std::size_t entries) {
  return (entries + kBlock - 1) / kBlock;
}
constexpr std::size_t scales_of(std::size_t size) {
  return (size + kScaleGroup - 1) / kScaleGroup;
}
/// Bytes of the codes of the first `numbers` numbers of a row; of whole groups, or of the whole row.
constexpr std::size_t code_bytes(RowFormat format, std::size_t numbers) {
  switch (format) {
    case RowFormat::q8_0:
      return numbers;
    case RowFormat::q4_0:
      return (numbers + 1) / 2;
    default:
      return 0;
  }
}
/// Bytes of one row of `size` numbers; a block has 64 times as many.
constexpr std::size_t row_bytes(RowFormat format, std::size_t size) {
  return format == RowFormat::f16 ? 2 * size : code_bytes(format, size) + 2 * scales_of(size);
}
constexpr bool is_rotated(RowFormat format) {
  return format == RowFormat::q4_0;
}
/// Of 4 bits: where in its group's bytes number i of `count` lies, and whether in the high half.
struct HalfByte {
  std::size_t byte;
  bool high;
  constexpr HalfByte(std::size_t i, std::size_t count) : byte(i % ((count + 1) / 2)), high(i >= (count + 1) / 2) {}
  int code(std::int8_t pair) const { return high ? pair >> 4 : static_cast<std::int8_t>(pair << 4) >> 4; }
};

/// A row of halves as it is held: `packed` has row_bytes(), of codes these and then the scales. A group with a number that is
/// not finite becomes NaN as a whole; so does all that is rotated with it.
void pack_row(RowFormat format, const std::uint16_t* halves, std::size_t size, std::byte* packed);
/// False if a number of a packed row is NaN or infinite.
bool row_is_finite(RowFormat format, const std::byte* packed, std::size_t size);

/// Packed rows into and out of a list; `keys` and `values` are its first blocks.
void put_key(std::byte* keys, RowFormat format, std::size_t size, std::size_t entry, const std::byte* packed);
void take_key(const std::byte* keys, RowFormat format, std::size_t size, std::size_t entry, std::byte* packed);
void put_value(std::byte* values, RowFormat format, std::size_t size, std::size_t entry, const std::byte* packed);
void take_value(const std::byte* values, RowFormat format, std::size_t size, std::size_t entry, std::byte* packed);

/// In place: entry i becomes entry kept[i]; kept ascends.
void compact_keys(std::byte* keys, RowFormat format, std::size_t size, std::span<const std::int32_t> kept);
void compact_values(std::byte* values, RowFormat format, std::size_t size, std::span<const std::int32_t> kept);

}  // namespace namm::kernels
