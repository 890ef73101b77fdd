#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

namespace namm::kernels {

/// In place: entry i becomes entry kept[i]; kept ascends, so nothing is overwritten before it was read, and entries that stay
/// where they are are not touched. Numbers of any kind, only their width matters.

/// Keys as the lists hold them (row_format.hpp): F16 [block][key_size][64].
void compact_blocks(std::uint16_t* keys, std::size_t key_size, std::span<const std::int32_t> kept);
/// Numbers of 1 or 2 bytes (T: std::int8_t, std::uint16_t), [rows][64] in every block, `block_bytes` from block to block.
template <typename T>
void compact_blocks(T* numbers, std::size_t rows, std::size_t block_bytes, std::span<const std::int32_t> kept);

/// Rows of `bytes` bytes, `stride` apart.
void compact_rows(std::byte* rows, std::size_t bytes, std::size_t stride, std::span<const std::int32_t> kept);

}  // namespace namm::kernels
