#include "kernels/compaction.hpp"

#include <algorithm>
#include <cstring>

#include "kernels/ragged_attention.hpp"

namespace namm::kernels {
namespace {

/// Entries in front that stay where they are.
std::size_t unmoved(std::span<const std::int32_t> kept) {
  std::size_t i = 0;
  while (i < kept.size() && static_cast<std::size_t>(kept[i]) == i) ++i;
  return i;
}

}  // namespace

void compact_blocks(std::uint16_t* keys, std::size_t key_size, std::span<const std::int32_t> kept) {
  compact_blocks(keys, key_size, key_size * kBlock * sizeof *keys, kept);
}

template <typename T>
void compact_blocks(T* numbers, std::size_t rows, std::size_t block_bytes, std::span<const std::int32_t> kept) {
  const std::size_t first = unmoved(kept), block_size = block_bytes / sizeof(T);
  std::size_t from[kBlock];
  for (std::size_t block = first / kBlock; block < blocks_of(kept.size()); ++block) {
    const std::size_t begin = std::max(first, block * kBlock), end = std::min(kept.size(), (block + 1) * kBlock);
    for (std::size_t i = begin; i < end; ++i) {
      const auto entry = static_cast<std::size_t>(kept[i]);
      from[i - begin] = entry / kBlock * block_size + entry % kBlock;
    }
    T* const to = numbers + block * block_size + begin % kBlock;
    for (std::size_t d = 0; d < rows; ++d)
      for (std::size_t i = 0; i < end - begin; ++i) to[d * kBlock + i] = numbers[from[i] + d * kBlock];
  }
}
template void compact_blocks(std::int8_t*, std::size_t, std::size_t, std::span<const std::int32_t>);
template void compact_blocks(std::uint16_t*, std::size_t, std::size_t, std::span<const std::int32_t>);

void compact_rows(std::byte* rows, std::size_t bytes, std::size_t stride, std::span<const std::int32_t> kept) {
  for (std::size_t i = unmoved(kept); i < kept.size();) {
    // a run of neighbours moves as one where rows lie close together
    std::size_t end = i + 1;
    while (bytes == stride && end < kept.size() && kept[end] == kept[end - 1] + 1) ++end;
    std::memmove(rows + i * stride, rows + static_cast<std::size_t>(kept[i]) * stride, (end - i - 1) * stride + bytes);
    i = end;
  }
}

}  // namespace namm::kernels
