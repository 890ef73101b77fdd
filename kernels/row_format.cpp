#include "kernels/row_format.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "kernels/compaction.hpp"
#include "kernels/half.hpp"
#include "kernels/rotation.hpp"

namespace namm::kernels {
namespace {

static_assert(kMostRotated % kScaleGroup == 0);

constexpr std::uint16_t kNotANumber = 0x7e00;

std::uint16_t half_at(const std::byte* from) {  // scales of a packed row may begin anywhere
  std::uint16_t out;
  std::memcpy(&out, from, sizeof out);
  return out;
}

bool all_finite(const float* numbers, std::size_t count) {
  return std::all_of(numbers, numbers + count, [](float x) { return std::isfinite(x); });
}

/// To the nearest, halves away from zero.
int code_of(float steps, float lowest, float highest) {
  const float code = std::clamp(steps, lowest, highest);
  return static_cast<int>(code + (code < 0 ? -0.5f : 0.5f));
}

/// The scale, at which the largest of the numbers has the code 127, and the codes.
std::uint16_t quantise_to_8(const float* numbers, std::size_t count, std::byte* codes) {
  float largest = 0;
  for (std::size_t i = 0; i < count; ++i) largest = std::max(largest, std::abs(numbers[i]));
  const bool finite = all_finite(numbers, count);
  const std::uint16_t scale = finite ? float_to_half(largest / 127) : kNotANumber;
  const float step = half_to_float(scale), inverse = finite && step > 0 ? 1 / step : 0;
  for (std::size_t i = 0; i < count; ++i)  // of a group that is not finite or too small all codes are 0
    codes[i] = static_cast<std::byte>(inverse == 0 ? 0 : code_of(numbers[i] * inverse, -127, 127));
  return scale;
}

/// Of 4 bits, to the nearest: a number of this size has no room for digits behind the point. No branches, so that it vectorises.
inline float code_of_4(float steps) {
  constexpr float kNoFraction = 12582912;
  steps = steps < -8 ? -8 : steps;
  steps = steps > 7 ? 7 : steps;
  return (steps + kNoFraction) - kNoFraction;
}

/// Squares of what a scale of 4-bit codes would lose; numbers [32].
float lost(const float* numbers, float step) {
  constexpr std::size_t kLanes = 8;
  const float inverse = 1 / step;
  float sums[kLanes] = {};
  for (std::size_t i = 0; i < kScaleGroup; i += kLanes)
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      const float error = numbers[i + lane] - step * code_of_4(numbers[i + lane] * inverse);
      sums[lane] += error * error;
    }
  return std::accumulate(sums, sums + kLanes, 0.0f);
}

/// The same in 4 bits: of some scales the one that loses least. The largest number has the code -8 at the first, whatever its
/// sign, so that no step is left unused; a smaller step cuts it off, which is worth it where the others are much smaller.
std::uint16_t quantise_to_4(const float* group, std::size_t count, std::byte* codes) {
  float numbers[kScaleGroup] = {}, largest = 0;
  for (std::size_t i = 0; i < count; ++i) {
    numbers[i] = group[i];
    if (std::abs(numbers[i]) > std::abs(largest)) largest = numbers[i];
  }
  std::fill_n(codes, (count + 1) / 2, std::byte{0});
  if (!all_finite(numbers, count)) return kNotANumber;
  std::uint16_t scale = float_to_half(largest / -8);
  if (half_to_float(scale) == 0) return scale;
  float least = lost(numbers, half_to_float(scale));
  for (const float code : {-6.5f, -7.0f, -7.5f, -8.5f, -9.0f, -9.5f}) {
    const std::uint16_t other = float_to_half(largest / code);
    const float loss = half_to_float(other) == 0 ? least : lost(numbers, half_to_float(other));
    if (loss < least) least = loss, scale = other;
  }
  const float inverse = 1 / half_to_float(scale);
  for (std::size_t i = 0; i < count; ++i) {
    const HalfByte place(i, count);
    const int code = static_cast<int>(code_of_4(numbers[i] * inverse));
    codes[place.byte] |= static_cast<std::byte>(place.high ? code << 4 : code & 15);
  }
  return scale;
}

/// Where in its block the parts of a row of codes lie.
struct Place {
  std::size_t block, in_block, codes, scales;  // the last two per row
  Place(RowFormat format, std::size_t size, std::size_t entry)
      : block(entry / kBlock * kBlock * row_bytes(format, size)),
        in_block(entry % kBlock),
        codes(code_bytes(format, size)),
        scales(scales_of(size)) {}
  std::size_t scale(std::size_t group) const {
    return block + kBlock * codes + (group * kBlock + in_block) * sizeof(std::uint16_t);
  }
};

void put_scales(std::byte* blocks, const Place& place, const std::byte* packed) {
  for (std::size_t g = 0; g < place.scales; ++g) std::memcpy(blocks + place.scale(g), packed + place.codes + 2 * g, 2);
}
void take_scales(const std::byte* blocks, const Place& place, std::byte* packed) {
  for (std::size_t g = 0; g < place.scales; ++g) std::memcpy(packed + place.codes + 2 * g, blocks + place.scale(g), 2);
}

/// The scales behind the codes of all blocks.
void compact_scales(std::byte* blocks, RowFormat format, std::size_t size, std::span<const std::int32_t> kept) {
  if (kept.empty()) return;  // there may be no block
  compact_blocks(reinterpret_cast<std::uint16_t*>(blocks + kBlock * code_bytes(format, size)), scales_of(size),
                 kBlock * row_bytes(format, size), kept);
}

}  // namespace

void pack_row(RowFormat format, const std::uint16_t* halves, std::size_t size, std::byte* packed) {
  if (format == RowFormat::f16) {
    std::copy_n(reinterpret_cast<const std::byte*>(halves), 2 * size, packed);
    return;
  }
  const auto quantise = format == RowFormat::q8_0 ? quantise_to_8 : quantise_to_4;
  float numbers[kMostRotated];  // on the stack: nothing may fail while a list grows
  for (std::size_t piece = 0; piece < size; piece += kMostRotated) {
    const std::size_t end = std::min(size, piece + kMostRotated);
    for (std::size_t i = piece; i < end; ++i) numbers[i - piece] = half_to_float(halves[i]);
    if (is_rotated(format)) rotate(numbers, end - piece, rotated_together(size));
    for (std::size_t begin = piece; begin < end; begin += kScaleGroup) {
      const std::size_t count = std::min(kScaleGroup, end - begin);
      const std::uint16_t scale = quantise(numbers + (begin - piece), count, packed + code_bytes(format, begin));
      std::memcpy(packed + code_bytes(format, size) + 2 * (begin / kScaleGroup), &scale, sizeof scale);
    }
  }
}

bool row_is_finite(RowFormat format, const std::byte* packed, std::size_t size) {
  const std::size_t begin = code_bytes(format, size), count = format == RowFormat::f16 ? size : scales_of(size);
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
  const Place place(format, size, entry);
  for (std::size_t i = 0; i < place.codes; ++i) keys[place.block + i * kBlock + place.in_block] = packed[i];
  put_scales(keys, place, packed);
}

void take_key(const std::byte* keys, RowFormat format, std::size_t size, std::size_t entry, std::byte* packed) {
  if (format == RowFormat::f16) {
    const std::byte* const column = keys + 2 * (entry / kBlock * size * kBlock + entry % kBlock);
    for (std::size_t d = 0; d < size; ++d) std::memcpy(packed + 2 * d, column + 2 * d * kBlock, 2);
    return;
  }
  const Place place(format, size, entry);
  for (std::size_t i = 0; i < place.codes; ++i) packed[i] = keys[place.block + i * kBlock + place.in_block];
  take_scales(keys, place, packed);
}

void put_value(std::byte* values, RowFormat format, std::size_t size, std::size_t entry, const std::byte* packed) {
  if (format == RowFormat::f16) {
    std::copy_n(packed, 2 * size, values + 2 * entry * size);
    return;
  }
  const Place place(format, size, entry);
  std::copy_n(packed, place.codes, values + place.block + place.in_block * place.codes);  // memcpy takes no null pointer
  put_scales(values, place, packed);
}

void take_value(const std::byte* values, RowFormat format, std::size_t size, std::size_t entry, std::byte* packed) {
  if (format == RowFormat::f16) {
    std::copy_n(values + 2 * entry * size, 2 * size, packed);
    return;
  }
  const Place place(format, size, entry);
  std::copy_n(values + place.block + place.in_block * place.codes, place.codes, packed);
  take_scales(values, place, packed);
}

void compact_keys(std::byte* keys, RowFormat format, std::size_t size, std::span<const std::int32_t> kept) {
  if (format == RowFormat::f16) return compact_blocks(reinterpret_cast<std::uint16_t*>(keys), size, kept);
  compact_blocks(reinterpret_cast<std::int8_t*>(keys), code_bytes(format, size), kBlock * row_bytes(format, size), kept);
  compact_scales(keys, format, size, kept);
}

void compact_values(std::byte* values, RowFormat format, std::size_t size, std::span<const std::int32_t> kept) {
  if (format == RowFormat::f16) return compact_rows(values, 2 * size, 2 * size, kept);
  for (std::size_t i = 0; i < kept.size(); ++i) {
    const Place from(format, size, static_cast<std::size_t>(kept[i])), to(format, size, i);
    if (static_cast<std::size_t>(kept[i]) != i)
      std::memcpy(values + to.block + to.in_block * to.codes, values + from.block + from.in_block * from.codes, to.codes);
  }
  compact_scales(values, format, size, kept);
}

}  // namespace namm::kernels
