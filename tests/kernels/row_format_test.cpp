#include "kernels/row_format.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "kernels/half.hpp"
#include "kernels/ragged_attention.hpp"
#include "kernels/rotation.hpp"
#include "tests/check.hpp"

using namm::RowFormat;
using namespace namm::kernels;

namespace {

std::vector<std::uint16_t> random_row(std::size_t size, std::mt19937& rng, float spread = 1) {
  std::normal_distribution<float> normal(0, spread);
  std::vector<std::uint16_t> out(size);
  for (auto& x : out) x = float_to_half(normal(rng));
  return out;
}

std::vector<std::byte> pack(RowFormat format, const std::vector<std::uint16_t>& row) {
  std::vector<std::byte> out(row_bytes(format, row.size()));
  pack_row(format, row.data(), row.size(), out.data());
  return out;
}

/// The numbers that a packed row stands for, as attention sees them.
std::vector<float> numbers_of(RowFormat format, const std::vector<std::byte>& packed, std::size_t size) {
  std::vector<std::byte> block(kBlock * packed.size() + 1);
  put_value(block.data(), format, size, 0, packed.data());
  RaggedHead head;
  head.values = reinterpret_cast<const std::uint16_t*>(block.data());
  head.value_size = size;
  head.value_format = format;
  std::vector<float> out;
  for (std::size_t n = 0; n < size; ++n) out.push_back(value_number(head, 0, n));
  return out;
}

/// By the matrix: the sign of (i, j) is the parity of the ones that both have.
std::vector<double> rotated_in_double(const std::vector<float>& row) {
  std::vector<double> out(row.size());
  const std::size_t n = rotated_together(row.size());
  for (std::size_t i = 0; i < row.size(); ++i)
    for (std::size_t j = 0; j < n; ++j)
      out[i] += (std::popcount(i % n & j) % 2 == 0 ? 1 : -1) * row[i / n * n + j] / std::sqrt(static_cast<double>(n));
  return out;
}

/// The multiple of the scale from -8 to 7 times that is next to it.
double nearest(double number, float scale) {
  return scale == 0 ? 0 : std::clamp(std::round(number / scale), -8.0, 7.0) * scale;
}

/// Number i of a group: what ggml's layout says, byte by byte, without the kernels' help.
float number_of_half_byte(const std::byte* codes, std::size_t i, std::size_t count, float scale) {
  const std::size_t half = (count + 1) / 2;
  const int pair = std::to_integer<int>(codes[i < half ? i : i - half]), code = i < half ? pair % 16 : pair / 16;
  return static_cast<float>(code < 8 ? code : code - 16) * scale;
}

}  // namespace

TEST_CASE("rows of q8_0 are within half a step of what was packed, the step a 127th of the largest of 32 numbers") {
  std::mt19937 rng(3);
  for (const std::size_t size : {0u, 1u, 31u, 32u, 33u, 63u, 64u, 65u, 128u})
    for (const float spread : {1e-6f, 0.01f, 1.0f, 300.0f}) {
      const auto row = random_row(size, rng, spread);
      const std::vector<float> out = numbers_of(RowFormat::q8_0, pack(RowFormat::q8_0, row), size);
      for (std::size_t i = 0; i < size; ++i) {
        float largest = 0;
        for (std::size_t j = i / 32 * 32; j < std::min(size, i / 32 * 32 + 32); ++j)
          largest = std::max(largest, std::abs(half_to_float(row[j])));
        // the scale is a half, too: at most 2^-11 of it away, subnormal ones by 2^-25
        const float bound = largest / 254 + largest / 2048 + 127 * std::ldexp(1.0f, -25);
        CHECK(std::abs(out[i] - half_to_float(row[i])) <= bound);
      }
    }
  CHECK(row_bytes(RowFormat::q8_0, 64) * 32 == 64 * 34);  // as many as llama.cpp's type of this name
}

TEST_CASE("rows are rotated by the Walsh-Hadamard matrix, which is its own inverse") {
  std::mt19937 rng(6);
  for (const std::size_t size : {0u, 1u, 2u, 31u, 32u, 33u, 64u, 80u, 96u, 128u, 192u, 256u, 384u}) {
    std::vector<float> row;
    for (const std::uint16_t x : random_row(size, rng)) row.push_back(half_to_float(x));
    std::vector<float> rotated = row;
    rotate_row(rotated.data(), size);
    const std::vector<double> wanted = rotated_in_double(row);
    for (std::size_t i = 0; i < size; ++i) CHECK(rotated[i] == Approx(wanted[i]).margin(1e-5));
    rotate_row(rotated.data(), size);
    for (std::size_t i = 0; i < size; ++i) CHECK(rotated[i] == Approx(row[i]).margin(1e-5));
  }
  CHECK(
      (rotated_together(80) == 16 && rotated_together(96) == 32 && rotated_together(192) == 64 && rotated_together(512) == 128));
}

TEST_CASE(
    "rows of q4_0 are the nearest codes to the rotated row, in ggml's order, and lose no more than a step of an eighth does") {
  std::mt19937 rng(5);
  for (const std::size_t size : {0u, 1u, 2u, 15u, 16u, 17u, 31u, 32u, 33u, 63u, 64u, 65u, 80u, 128u, 160u, 192u})
    for (const float spread : {1e-6f, 0.01f, 1.0f, 300.0f}) {
      const auto halves = random_row(size, rng, spread);
      std::vector<float> as_is;
      for (const std::uint16_t x : halves) as_is.push_back(half_to_float(x));
      const std::vector<double> row = rotated_in_double(as_is);
      const auto packed = pack(RowFormat::q4_0, halves);
      const std::vector<float> out = numbers_of(RowFormat::q4_0, packed, size);
      for (std::size_t begin = 0; begin < size; begin += 32) {
        const std::size_t count = std::min<std::size_t>(32, size - begin);
        double largest = 0, lost = 0, eighths = 0;
        for (std::size_t i = begin; i < begin + count; ++i)
          if (std::abs(row[i]) > std::abs(largest)) largest = row[i];
        std::uint16_t half;
        std::memcpy(&half, packed.data() + (size + 1) / 2 + begin / 32 * 2, 2);
        const float scale = half_to_float(half), eighth = half_to_float(float_to_half(static_cast<float>(largest / -8)));
        const double slack = std::abs(largest) * 1e-5;  // of the rotation in float
        for (std::size_t i = begin; i < begin + count; ++i) {
          CHECK(out[i] == number_of_half_byte(packed.data() + begin / 2, i - begin, count, scale));
          CHECK(std::abs(out[i] - row[i]) <= std::abs(nearest(row[i], scale) - row[i]) + slack);
          lost += (out[i] - row[i]) * (out[i] - row[i]);
          eighths += (nearest(row[i], eighth) - row[i]) * (nearest(row[i], eighth) - row[i]);
        }
        CHECK(lost <= eighths * 1.0001 + slack * slack);
      }
    }
  CHECK(row_bytes(RowFormat::q4_0, 64) * 32 == 64 * 18);  // as many as llama.cpp's type of this name
}

TEST_CASE("a group of codes with a number that is not finite is NaN, the others are as they were") {
  std::mt19937 rng(4);
  for (const RowFormat format : {RowFormat::q8_0, RowFormat::q4_0})
    for (const std::uint16_t bad : {std::uint16_t{0x7e00}, std::uint16_t{0xfc00}}) {
      auto row = random_row(96, rng);
      const auto before = pack(format, row);
      CHECK(row_is_finite(format, before.data(), 96));
      row[40] = bad;
      const auto after = pack(format, row);
      CHECK_FALSE(row_is_finite(format, after.data(), 96));
      const std::vector<float> a = numbers_of(format, before, 96), b = numbers_of(format, after, 96);
      for (std::size_t i = 0; i < 96; ++i) CHECK((i / 32 == 1 ? std::isnan(b[i]) : b[i] == a[i]));
    }
}

TEST_CASE("rows come out of a list as they went in, and compaction keeps those that it is told to") {
  for (const RowFormat format : {RowFormat::f16, RowFormat::q8_0, RowFormat::q4_0})
    for (const std::size_t size : {1u, 16u, 31u, 33u, 40u, 64u})
      for (const std::size_t entries : {0u, 1u, 63u, 64u, 65u, 127u, 128u, 129u, 300u})
        for (const std::size_t every : {1u, 2u, 7u}) {
          std::mt19937 rng(static_cast<unsigned>(entries + size));
          std::vector<std::byte> keys(blocks_of(entries) * kBlock * row_bytes(format, size)), values = keys;
          std::vector<std::vector<std::byte>> rows;
          std::vector<std::int32_t> kept;
          for (std::size_t e = 0; e < entries; ++e) {
            rows.push_back(pack(format, random_row(size, rng)));
            put_key(keys.data(), format, size, e, rows.back().data());
            put_value(values.data(), format, size, e, rows.back().data());
            if (e < 3 || e % every == 0) kept.push_back(static_cast<std::int32_t>(e));
          }
          compact_keys(keys.data(), format, size, kept);
          compact_values(values.data(), format, size, kept);
          std::vector<std::byte> key(row_bytes(format, size)), value = key;
          for (std::size_t i = 0; i < kept.size(); ++i) {
            take_key(keys.data(), format, size, i, key.data());
            take_value(values.data(), format, size, i, value.data());
            REQUIRE(key == rows[static_cast<std::size_t>(kept[i])]);
            REQUIRE(value == rows[static_cast<std::size_t>(kept[i])]);
          }
        }
}
