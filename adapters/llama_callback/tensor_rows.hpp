#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

struct ggml_tensor;

namespace namm::llama {

/// The numbers of an F32 node as packed rows of `width`, read from wherever its backend keeps them. Throws std::runtime_error if
/// it is of another type.
std::vector<float> read_rows(const ggml_tensor* node, std::size_t width);

/// Takes what pads rows of `width` to `padded` numbers out of them.
void drop_padding(std::vector<float>& rows, std::size_t padded, std::size_t width);

/// The cells that a write to the cache goes to (src[1] of SET_ROWS, I64).
std::vector<std::int32_t> read_cells(const ggml_tensor* write);

}  // namespace namm::llama
