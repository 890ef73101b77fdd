#include "kernels/compaction_cuda.hpp"
#include "kernels/compaction_step.hpp"
#include "kernels/cuda_launch.hpp"

namespace namm::kernels {
namespace {

constexpr int kThreads = 256;

/// How the slices of a list lie: slice s begins s * step bytes behind the list's data.
struct Layout {
  std::size_t step, entry_stride, block_stride;
};

// grid: (slices, lists); a block of threads carries its slice through all chunks
template <typename Piece>
__global__ void __launch_bounds__(kThreads) compact(std::byte* const* data, Layout layout, const KeptEntries* kept) {
  const KeptEntries own = kept[blockIdx.y];
  const CompactionSlice slice{data[blockIdx.y] + blockIdx.x * layout.step, layout.entry_stride, layout.block_stride};
  for (std::size_t begin = 0; begin < own.count; begin += kThreads) {
    Piece piece;
    const std::size_t entry = begin + threadIdx.x;
    const bool have = read_piece(slice, own.kept, own.count, entry, piece);
    __syncthreads();
    if (have) write_piece(slice, entry, piece);
    __syncthreads();  // the next chunk reads behind this one's targets, but not behind those of a thread that lags
  }
}

template <typename Piece>
void launch(std::byte* const* data, std::size_t slices, const Layout& layout, const KeptEntries* kept, int lists, void* stream) {
  if (slices == 0 || lists == 0) return;
  compact<Piece>
      <<<dim3(static_cast<unsigned>(slices), lists), kThreads, 0, static_cast<cudaStream_t>(stream)>>>(data, layout, kept);
  check_launch("compaction");
}

}  // namespace

void compact_blocks_cuda(std::uint16_t* const* keys, std::size_t key_size, const KeptEntries* kept, int lists, void* stream) {
  launch<std::uint16_t>(reinterpret_cast<std::byte* const*>(keys), key_size, {kBlock * 2, 0, key_size * kBlock * 2}, kept, lists,
                        stream);
}

void compact_rows_cuda(std::byte* const* rows, std::size_t bytes, std::size_t stride, const KeptEntries* kept, int lists,
                       void* stream) {
  if (bytes % 4 != 0 || stride % 4 != 0)
    throw std::invalid_argument("CUDA: compaction: rows must be multiples of 4 bytes, are " + std::to_string(bytes) + ", " +
                                std::to_string(stride) + " apart");
  if (bytes % 16 == 0 && stride % 16 == 0)
    launch<Bytes16>(rows, bytes / 16, {16, stride, 0}, kept, lists, stream);
  else
    launch<std::uint32_t>(rows, bytes / 4, {4, stride, 0}, kept, lists, stream);
}

void compact_columns_cuda(std::byte* const* numbers, std::size_t width, std::size_t rows, std::size_t stride,
                          const KeptEntries* kept, int lists, void* stream) {
  if (width == 2)
    launch<std::uint16_t>(numbers, rows, {stride * 2, 2, 0}, kept, lists, stream);
  else if (width == 4)
    launch<std::uint32_t>(numbers, rows, {stride * 4, 4, 0}, kept, lists, stream);
  else
    throw std::invalid_argument("CUDA: compaction: numbers must be 2 or 4 bytes wide, are " + std::to_string(width));
}

}  // namespace namm::kernels
