#include "kernels/key_probe.hpp"

#include <random>
#include <vector>

#include "kernels/isa.hpp"
#include "tests/check.hpp"
#include "tests/kernels/fused.hpp"

using namespace namm::kernels;

namespace {

std::vector<float> normal_numbers(std::size_t count, unsigned seed) {
  std::mt19937 rng(seed);
  std::normal_distribution<float> normal;
  std::vector<float> out(count);
  for (float& number : out) number = normal(rng);
  return out;
}

}  // namespace

TEST_CASE("key probe: rows apart, any length, adds to what is there") {
  for (const std::size_t numbers : {1u, 15u, 16u, 17u, 32u, 64u, 80u, 96u})
    for (const std::size_t count : {0u, 1u, 5u})
      for (const int heads : {1, 2, 3, 5}) {
        INFO("numbers " << numbers << " tokens " << count << " heads " << heads);
        const std::size_t stride = count + 2, apart = numbers + 3;
        // the memory ends with the last row: a sanitizer sees what is read behind it; and no row is aligned
        const std::vector<float> memory =
            normal_numbers(1 + (count > 0 ? (count - 1) * apart + numbers : 0), static_cast<unsigned>(count * 100 + numbers));
        const TokenRows rows = {memory.data() + 1, apart, count, numbers};
        const std::vector<float> weights = normal_numbers(static_cast<std::size_t>(heads) * (numbers + 1), 9);
        std::vector<float> got(static_cast<std::size_t>(heads) * stride, 0.5f), twin = got;
        probe_rows(rows, weights.data(), numbers + 1, heads, got.data(), stride);
        scalar::probe_rows(rows, weights.data(), numbers + 1, heads, twin.data(), stride);
        if (fused()) CHECK(got == twin);
        for (std::size_t h = 0; h < static_cast<std::size_t>(heads); ++h)
          for (std::size_t t = 0; t < stride; ++t) {
            double wanted = 0.5;
            for (std::size_t i = 0; t < count && i < numbers; ++i)
              wanted += static_cast<double>(rows.data[t * apart + i]) * weights[h * (numbers + 1) + i];
            CHECK(got[h * stride + t] == Approx(wanted).margin(2e-5));
          }
      }
}
