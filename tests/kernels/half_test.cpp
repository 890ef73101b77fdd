#include "kernels/half.hpp"

#include <cmath>
#include <vector>

#include "tests/check.hpp"

using namespace namm::kernels;

TEST_CASE("every half survives the way to float and back") {
  for (std::uint32_t bits = 0; bits < 0x10000u; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    const float value = half_to_float(half);
    if (std::isnan(value)) {
      CHECK(std::isnan(half_to_float(float_to_half(value))));
    } else if (float_to_half(value) != half) {
      FAIL("half " << bits << " came back as " << float_to_half(value));
    }
  }
}

TEST_CASE("floats between two halves round to the nearest, ties to even") {
  CHECK(float_to_half(1.0f + 1.0f / 2048) == 0x3c00);  // tie, down to even
  CHECK(float_to_half(1.0f + 3.0f / 2048) == 0x3c02);  // tie, up to even
  CHECK(float_to_half(1.0f + 1.1f / 2048) == 0x3c01);
  CHECK(float_to_half(65519.0f) == 0x7bff);
  CHECK(float_to_half(65520.0f) == 0x7c00);
  CHECK(float_to_half(std::ldexp(1.0f, -25)) == 0);  // half of the smallest subnormal: tie to even
  CHECK(float_to_half(std::ldexp(1.5f, -25)) == 1);
  CHECK(float_to_half(-0.0f) == 0x8000);
}

TEST_CASE("the vector conversion equals the scalar one at every length around a vector") {
  for (std::size_t count : {0u, 1u, 7u, 8u, 9u, 15u, 16u, 17u, 31u, 33u}) {
    std::vector<float> from(count);
    std::vector<std::uint16_t> to(count);
    for (std::size_t i = 0; i < count; ++i)
      from[i] = std::sin(static_cast<float>(i) * 1.7f) * std::ldexp(1.0f, static_cast<int>(i) - 16);
    floats_to_halves(from.data(), to.data(), count);
    for (std::size_t i = 0; i < count; ++i) CHECK(to[i] == float_to_half(from[i]));
  }
}
