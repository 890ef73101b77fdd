#include "kernels/key_probe.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <random>
#include <stdexcept>
#include <vector>

#include "kernels/half.hpp"
#include "kernels/isa.hpp"
#include "kernels/ragged_attention.hpp"
#include "tests/check.hpp"
#include "tests/kernels/fused.hpp"

using namespace namm::kernels;

namespace {

struct Rows {
  std::vector<std::byte> memory;  // one byte in front: no row is aligned
  std::vector<double> numbers;    // what the bytes say, [token][number]
  TokenRows view;
};

void put(std::byte* to, std::uint16_t half) {
  std::memcpy(to, &half, sizeof half);
}

Rows make_rows(RowType type, std::size_t count, std::size_t numbers) {
  Rows out;
  std::mt19937 rng(static_cast<unsigned>(count * 100 + numbers));
  std::normal_distribution<float> normal;
  const std::size_t stride = row_bytes(type, numbers) + 3;
  // nothing may be read behind the last row: a sanitizer sees it
  out.memory.resize(1 + (count > 0 ? (count - 1) * stride + row_bytes(type, numbers) : 0));
  for (std::size_t token = 0; token < count; ++token) {
    std::byte* const row = out.memory.data() + 1 + token * stride;
    std::uint16_t scale = 0;
    for (std::size_t i = 0; i < numbers; ++i) {
      const float x = normal(rng);
      if (type == RowType::f32) {
        std::memcpy(row + 4 * i, &x, sizeof x);
        out.numbers.push_back(x);
      } else if (type == RowType::f16) {
        put(row + 2 * i, float_to_half(x));
        out.numbers.push_back(half_to_float(float_to_half(x)));
      } else if (type == RowType::bf16) {
        const auto half = static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(x) >> 16);
        put(row + 2 * i, half);
        out.numbers.push_back(std::bit_cast<float>(static_cast<std::uint32_t>(half) << 16));
      } else {
        std::byte* const block = row + i / 32 * 34;
        if (i % 32 == 0) put(block, scale = float_to_half(0.01f * (1 + std::abs(x))));
        const auto quantum = static_cast<std::int8_t>(std::clamp(x * 40, -127.0f, 127.0f));
        std::memcpy(block + 2 + i % 32, &quantum, 1);
        out.numbers.push_back(static_cast<double>(half_to_float(scale)) * quantum);
      }
    }
  }
  out.view = {out.memory.data() + 1, type, stride, count, numbers};
  return out;
}

std::vector<float> weights_of(std::size_t count) {
  std::mt19937 rng(9);
  std::normal_distribution<float> normal;
  std::vector<float> out(count);
  for (float& w : out) w = normal(rng);
  return out;
}

}  // namespace

TEST_CASE("key probe: every type of row, unaligned, any length, adds to what is there") {
  for (const RowType type : {RowType::f32, RowType::f16, RowType::bf16, RowType::q8_0})
    for (const std::size_t numbers : {1u, 15u, 16u, 17u, 32u, 64u, 80u, 96u})
      for (const std::size_t count : {0u, 1u, 5u})
        for (const int heads : {1, 3, 5}) {
          if (type == RowType::q8_0 && numbers % 32 != 0) continue;
          INFO("type " << static_cast<int>(type) << " numbers " << numbers << " tokens " << count << " heads " << heads);
          const Rows rows = make_rows(type, count, numbers);
          const std::size_t stride = count + 2;
          const std::vector<float> weights = weights_of(static_cast<std::size_t>(heads) * (numbers + 1));
          std::vector<float> got(static_cast<std::size_t>(heads) * stride, 0.5f), twin = got;
          probe_rows(rows.view, weights.data(), numbers + 1, heads, got.data(), stride);
          scalar::probe_rows(rows.view, weights.data(), numbers + 1, heads, twin.data(), stride);
          if (fused()) CHECK(got == twin);
          for (std::size_t h = 0; h < static_cast<std::size_t>(heads); ++h)
            for (std::size_t t = 0; t < stride; ++t) {
              double wanted = 0.5;
              for (std::size_t i = 0; t < count && i < numbers; ++i)
                wanted += rows.numbers[t * numbers + i] * weights[h * (numbers + 1) + i];
              CHECK(got[h * stride + t] == Approx(wanted).margin(2e-5));
            }
        }
  const Rows rows = make_rows(RowType::f32, 1, 48);
  TokenRows broken = rows.view;
  broken.type = RowType::q8_0;
  float score = 0;
  CHECK_THROWS_AS(probe_rows(broken, &score, 0, 1, &score, 1), std::invalid_argument);
}

TEST_CASE("key probe on the lists' own blocks of keys") {
  for (const std::size_t count : {0u, 1u, 15u, 16u, 63u, 64u, 65u, 130u})
    for (const std::size_t size : {1u, 16u, 64u, 80u}) {
      INFO("tokens " << count << " size " << size);
      std::vector<std::uint16_t> keys(blocks_of(count) * kBlock * size);
      for (std::size_t i = 0; i < keys.size(); ++i) keys[i] = float_to_half(std::sin(static_cast<float>(i)));
      const std::vector<float> weights = weights_of(size);
      std::vector<float> got(count + 1, 0.25f), twin = got;
      probe_blocks(keys.data(), count, size, weights.data(), got.data());
      scalar::probe_blocks(keys.data(), count, size, weights.data(), twin.data());
      if (fused()) CHECK(got == twin);
      for (std::size_t e = 0; e <= count; ++e) {
        double wanted = 0.25;
        for (std::size_t d = 0; e < count && d < size; ++d)
          wanted += static_cast<double>(weights[d]) * half_to_float(keys[(e / kBlock * size + d) * kBlock + e % kBlock]);
        CHECK(got[e] == Approx(wanted).margin(2e-5));
      }
    }
}
