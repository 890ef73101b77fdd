#include <bit>
#include <cmath>
#include <cstring>

#include "kernels/half.hpp"
#include "kernels/key_probe.hpp"
#include "kernels/ragged_attention.hpp"

namespace namm::kernels::scalar {
namespace {

template <typename T>
T read(const std::byte* from) {
  T out;
  std::memcpy(&out, from, sizeof out);
  return out;
}

float number(const std::byte* row, RowType type, std::size_t i) {
  switch (type) {
    case RowType::f32:
      return read<float>(row + 4 * i);
    case RowType::f16:
      return half_to_float(read<std::uint16_t>(row + 2 * i));
    case RowType::bf16:
      return std::bit_cast<float>(static_cast<std::uint32_t>(read<std::uint16_t>(row + 2 * i)) << 16);
    case RowType::q8_0: {
      const std::byte* const block = row + i / 32 * 34;
      return half_to_float(read<std::uint16_t>(block)) * static_cast<float>(read<std::int8_t>(block + 2 + i % 32));
    }
  }
  return 0;
}

}  // namespace

void probe_rows(const TokenRows& rows, const float* weights, std::size_t weight_stride, int heads, float* scores,
                std::size_t score_stride) {
  constexpr std::size_t kChains = 16;
  for (std::size_t token = 0; token < rows.count; ++token) {
    const std::byte* const row = static_cast<const std::byte*>(rows.data) + token * rows.stride_bytes;
    for (std::size_t h = 0; h < static_cast<std::size_t>(heads); ++h) {
      float chains[kChains] = {};
      for (std::size_t i = 0; i < rows.numbers; ++i)
        chains[i % kChains] = std::fma(number(row, rows.type, i), weights[h * weight_stride + i], chains[i % kChains]);
      for (std::size_t n = kChains / 2; n > 0; n /= 2)
        for (std::size_t i = 0; i < n; ++i) chains[i] += chains[i + n];
      scores[h * score_stride + token] += chains[0];
    }
  }
}

void probe_blocks(const std::uint16_t* keys, std::size_t count, std::size_t key_size, const float* weights, float* scores) {
  for (std::size_t token = 0; token < count; ++token) {
    const std::uint16_t* const key = keys + token / kBlock * key_size * kBlock + token % kBlock;
    float sum = 0;
    for (std::size_t d = 0; d < key_size; ++d) sum = std::fma(half_to_float(key[d * kBlock]), weights[d], sum);
    scores[token] += sum;
  }
}

}  // namespace namm::kernels::scalar
