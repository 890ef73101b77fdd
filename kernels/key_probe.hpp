#pragma once
#include <cstddef>
#include <cstdint>

namespace namm::kernels {

/// How the numbers of a cache row are stored. q8_0: blocks of 32 as ggml lays them out, an F16 scale and 32 signed bytes.
enum class RowType { f32, f16, bf16, q8_0 };

/// Bytes of `numbers` numbers; q8_0 needs a multiple of 32.
constexpr std::size_t row_bytes(RowType type, std::size_t numbers) {
  switch (type) {
    case RowType::f32:
      return 4 * numbers;
    case RowType::q8_0:
      return numbers / 32 * 34;
    default:
      return 2 * numbers;
  }
}

/// Keys (or values) of tokens where they lie: token i begins `stride_bytes * i` bytes behind `data`, any alignment.
struct TokenRows {
  const void* data = nullptr;
  RowType type = RowType::f32;
  std::size_t stride_bytes = 0;
  std::size_t count = 0;
  std::size_t numbers = 0;  ///< per token
};

/// Linear read-outs of the same tokens, one per KV head: scores[h * score_stride + i] += weights[h * weight_stride] . token i.
/// Every token is read once for all heads. Sums run in 16 interleaved chains, so all instruction sets with fused multiply-adds
/// and the scalar twin give the same bits. Throws std::invalid_argument if q8_0 rows are not whole blocks.
void probe_rows(const TokenRows& rows, const float* weights, std::size_t weight_stride, int heads, float* scores,
                std::size_t score_stride);

/// The same of one head's keys as the lists hold them (ragged_attention.hpp): F16 [block][key_size][64].
void probe_blocks(const std::uint16_t* keys, std::size_t count, std::size_t key_size, const float* weights, float* scores);

namespace scalar {
void probe_rows(const TokenRows& rows, const float* weights, std::size_t weight_stride, int heads, float* scores,
                std::size_t score_stride);
void probe_blocks(const std::uint16_t* keys, std::size_t count, std::size_t key_size, const float* weights, float* scores);
}  // namespace scalar

}  // namespace namm::kernels
