#pragma once
// Compaction in place as a block of threads does it: chunk after chunk of entries, and all threads have read before any writes.
// kept ascends and kept[i] >= i, so what later chunks read lies behind what this one writes.
#include "kernels/host_device.hpp"
#include "kernels/ragged_attention.hpp"

namespace namm::kernels {

/// One slice of a cache: a `piece` of every entry, by itself a column that can be compacted without the others.
struct CompactionSlice {
  std::byte* base = nullptr;
  std::size_t entry_stride = 0;  ///< bytes from entry to entry; 0: keys in blocks, [block][key_size][64] of 2 bytes
  std::size_t block_stride = 0;  ///< bytes from block to block
};

NAMM_HOST_DEVICE inline std::byte* place_of(const CompactionSlice& slice, std::size_t entry) {
  if (slice.entry_stride > 0) return slice.base + entry * slice.entry_stride;
  return slice.base + entry / kBlock * slice.block_stride + entry % kBlock * sizeof(std::uint16_t);
}

/// The thread's entry of a chunk, read; Piece is 2, 4 or 16 bytes. False if the chunk has no entry for it.
template <typename Piece>
NAMM_HOST_DEVICE inline bool read_piece(const CompactionSlice& slice, const std::int32_t* kept, std::size_t count,
                                        std::size_t entry, Piece& piece) {
  if (entry >= count) return false;
  piece = *reinterpret_cast<const Piece*>(place_of(slice, static_cast<std::size_t>(kept[entry])));
  return true;
}

template <typename Piece>
NAMM_HOST_DEVICE inline void write_piece(const CompactionSlice& slice, std::size_t entry, const Piece& piece) {
  *reinterpret_cast<Piece*>(place_of(slice, entry)) = piece;
}

/// 16 bytes that move at once.
struct alignas(16) Bytes16 {
  std::uint32_t part[4];
};

}  // namespace namm::kernels
