#include "kernels/row_format.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/compaction.hpp"
#include "kernels/half.hpp"

namespace namm::kernels {
namespace {

constexpr std::uint16_t kNotANumber = 0x7e00;

std::uint16_t half_at(const std::byte* from) {  // scales of a packed row may begin anywhere
  std::uint16_t out;
  std::memcpy(&out, from, sizeof out);
  return out;
}

/// The scale, at which the largest of the numbers has the code 127, and the codes.
std::uint16_t quantise(const float* numbers, std::size_t count, std::int8_t* codes) {
  float largest = 0;
  bool finite = true;
  for (std::size_t i = 0; i < count; ++i) {
    largest = std::max(largest, std::abs(numbers[i]));
    finite &= std::isfinite(numbers[i]);
  }
  const std::uint16_t scale = finite ? float_to_half(largest / 127) : kNotANumber;
  const float step = half_to_float(scale), inverse = finite && step > 0 ? 1 / step : 0;
  for (std::size_t i = 0; i < count; ++i) {  // to the nearest; of a row that is not finite all codes are 0
    const float code = inverse == 0 ? 0 : std::clamp(numbers[i] * inverse, -127.0f, 127.0f);
    codes[i] = static_cast<std::int8_t>(code + (code < 0 ? -0.5f : 0.5f));
  }
  return scale;
}

/// Where in its block the parts of a row of q8_0 lie.
struct Place {
  std::size_t block, in_block;
  Place(std::size_t size, std::size_t entry)
      : block(entry / kBlock * kBlock * row_bytes(RowFormat::q8_0, size)), in_block(entry % kBlock) {}
  std::size_t scale(std::size_t size, std::size_t group) const {
    return block + kBlock * size + (group * kBlock + in_block) * sizeof(std::uint16_t);
  }
};

/// The scales behind the codes of all blocks.
void compact_scales(std::byte* blocks, std::size_t size, std::size_t block_bytes, std::span<const std::int32_t> kept) {
  if (kept.empty()) return;  // there may be no block
  compact_blocks(reinterpret_cast<std::uint16_t*>(blocks + kBlock * size), scales_of(size), block_bytes, kept);
}

}  // namespace

void pack_row(RowFormat format, const std::uint16_t* halves, std::size_t size, std::byte* packed) {
  if (format == RowFormat::f16) {
    std::copy_n(reinterpret_cast<const std::byte*>(halves), 2 * size, packed);
    return;
  }
  for (std::size_t g = 0; g < scales_of(size); ++g) {
    const std::size_t begin = g * kScaleGroup, count = std::min(kScaleGroup, size - begin);
    float numbers[kScaleGroup];
    for (std::size_t i = 0; i < count; ++i) numbers[i] = half_to_float(halves[begin + i]);
    const std::uint16_t scale = quantise(numbers, count, reinterpret_cast<std::int8_t*>(packed) + begin);
    std::memcpy(packed + size + 2 * g, &scale, sizeof scale);
  }
}

bool row_is_finite(RowFormat format, const std::byte* packed, std::size_t size) {
  const std::size_t begin = format == RowFormat::f16 ? 0 : size, count = format == RowFormat::f16 ? size : scales_of(size);
  bool finite = true;
  for (std::size_t i = 0; i < count; ++i) finite &= (half_at(packed + begin + 2 * i) & 0x7c00u) != 0x7c00u;
  return finite;
}

void put_key(std::byte* keys, RowFormat format, std::size_t size, std::size_t entry, const std::byte* packed) {
  if (format == RowFormat::f16) {
    std::byte* const column = keys + 2 * (entry / kBlock * size * kBlock + entry % kBlock);
    for (std::size_t d = 0; d < size; ++d) std::memcpy(column + 2 * d * kBlock, packed + 2 * d, 2);
    return;
  }
  const Place place(size, entry);
  for (std::size_t d = 0; d < size; ++d) keys[place.block + d * kBlock + place.in_block] = packed[d];
  for (std::size_t g = 0; g < scales_of(size); ++g) std::memcpy(keys + place.scale(size, g), packed + size + 2 * g, 2);
}

void take_key(const std::byte* keys, RowFormat format, std::size_t size, std::size_t entry, std::byte* packed) {
  if (format == RowFormat::f16) {
    const std::byte* const column = keys + 2 * (entry / kBlock * size * kBlock + entry % kBlock);
    for (std::size_t d = 0; d < size; ++d) std::memcpy(packed + 2 * d, column + 2 * d * kBlock, 2);
    return;
  }
  const Place place(size, entry);
  for (std::size_t d = 0; d < size; ++d) packed[d] = keys[place.block + d * kBlock + place.in_block];
  for (std::size_t g = 0; g < scales_of(size); ++g) std::memcpy(packed + size + 2 * g, keys + place.scale(size, g), 2);
}

void put_value(std::byte* values, RowFormat format, std::size_t size, std::size_t entry, const std::byte* packed) {
  if (format == RowFormat::f16) {
    std::copy_n(packed, 2 * size, values + 2 * entry * size);
    return;
  }
  const Place place(size, entry);
  std::copy_n(packed, size, values + place.block + place.in_block * size);  // memcpy takes no null pointer for no bytes
  for (std::size_t g = 0; g < scales_of(size); ++g) std::memcpy(values + place.scale(size, g), packed + size + 2 * g, 2);
}

void take_value(const std::byte* values, RowFormat format, std::size_t size, std::size_t entry, std::byte* packed) {
  if (format == RowFormat::f16) {
    std::copy_n(values + 2 * entry * size, 2 * size, packed);
    return;
  }
  const Place place(size, entry);
  std::copy_n(values + place.block + place.in_block * size, size, packed);
  for (std::size_t g = 0; g < scales_of(size); ++g) std::memcpy(packed + size + 2 * g, values + place.scale(size, g), 2);
}

void compact_keys(std::byte* keys, RowFormat format, std::size_t size, std::span<const std::int32_t> kept) {
  if (format == RowFormat::f16) return compact_blocks(reinterpret_cast<std::uint16_t*>(keys), size, kept);
  const std::size_t block_bytes = kBlock * row_bytes(format, size);
  compact_blocks(reinterpret_cast<std::int8_t*>(keys), size, block_bytes, kept);
  compact_scales(keys, size, block_bytes, kept);
}

void compact_values(std::byte* values, RowFormat format, std::size_t size, std::span<const std::int32_t> kept) {
  if (format == RowFormat::f16) return compact_rows(values, 2 * size, 2 * size, kept);
  const std::size_t block_bytes = kBlock * row_bytes(format, size);
  for (std::size_t i = 0; i < kept.size(); ++i) {
    const auto from = static_cast<std::size_t>(kept[i]);
    if (from != i)
      std::memcpy(values + i / kBlock * block_bytes + i % kBlock * size,
                  values + from / kBlock * block_bytes + from % kBlock * size, size);
  }
  compact_scales(values, size, block_bytes, kept);
}

}  // namespace namm::kernels
