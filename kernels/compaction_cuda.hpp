#pragma once
#include <cstddef>
#include <cstdint>

namespace namm::kernels {

/// What one list keeps: device memory.
struct KeptEntries {
  const std::int32_t* kept = nullptr;  ///< ascending
  std::size_t count = 0;
};

/// compaction.hpp on a CUDA device, in place, for all lists of a layer at once; built with NAMM_WITH_CUDA. data[l] and kept[l]
/// are device memory, and so are the arrays themselves, [lists]. On `stream` (a cudaStream_t), does not wait. Throws
/// std::invalid_argument for layouts it does not take, std::runtime_error if the launch fails.
void compact_blocks_cuda(std::uint16_t* const* keys, std::size_t key_size, const KeptEntries* kept, int lists, void* stream);
/// Rows of `bytes` bytes, `stride` apart; both and the pointers multiples of 4 (of 16: larger pieces move).
void compact_rows_cuda(std::byte* const* rows, std::size_t bytes, std::size_t stride, const KeptEntries* kept, int lists,
                       void* stream);
/// Transposed values, [row][entry], numbers of 2 or 4 bytes.
void compact_columns_cuda(std::byte* const* numbers, std::size_t width, std::size_t rows, std::size_t stride,
                          const KeptEntries* kept, int lists, void* stream);

}  // namespace namm::kernels
