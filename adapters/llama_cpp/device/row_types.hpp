#pragma once
#include <ggml.h>

#include <cstddef>
#include <span>
#include <string>

#include "adapters/llama_cpp/device/own_graph.hpp"

namespace namm::llama {

/// What keys and values are held as on a device: f16, bf16 or q8_0.
struct RowTypes {
  ggml_type keys = GGML_TYPE_F16, values = GGML_TYPE_F16;
  static bool known(ggml_type type) { return type == GGML_TYPE_F16 || type == GGML_TYPE_BF16 || type == GGML_TYPE_Q8_0; }
  /// Of a key and a value.
  std::size_t bytes(std::int64_t key_size, std::int64_t value_size) const {
    return ggml_row_size(keys, key_size) + ggml_row_size(values, value_size);
  }
  /// "f16", or "q8_0 and f16" where they differ.
  std::string name() const;
};

/// False if a number of this row is NaN or infinite.
bool is_finite_row(ggml_type type, std::span<const std::byte> row);

/// A node by which rows ids[row, head] of `from` get to the rows of `to`, both [size, capacity, heads] in one piece. `as_words`:
/// their bytes are moved as they are, without room beside them; else through F32, which gives the same numbers: each of these
/// types has its own back (of q8_0 the largest code of a block is 127 wherever rows came from numbers).
ggml_tensor* gathered_rows(ggml_context* context, const ggml_tensor* from, const ggml_tensor* to, ggml_tensor* ids,
                           bool as_words);
/// Whether rows like these can be moved as words: they have a multiple of 32 bits, and their device moves such numbers.
bool moved_as_words(ggml_backend_buffer_type_t type, const ggml_tensor* rows);

}  // namespace namm::llama
