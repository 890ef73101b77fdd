#include "adapters/llama_cpp/device/row_types.hpp"

#include <cstdint>
#include <cstring>

namespace namm::llama {
namespace {

/// The rows as numbers of 32 bits, which a device moves as they are; a row must have a multiple of them.
ggml_tensor* words_of(ggml_context* context, const ggml_tensor* rows) {
  ggml_tensor* const out = ggml_new_tensor_3d(
      context, GGML_TYPE_I32, static_cast<std::int64_t>(rows->nb[1] / sizeof(std::int32_t)), rows->ne[1], rows->ne[2]);
  out->data = rows->data;
  out->buffer = rows->buffer;
  return out;
}

/// Whether the halves at the beginning of each `stride` bytes are finite: not all bits of the `exponent` are set.
bool are_finite_halves(std::span<const std::byte> row, std::size_t stride, std::uint16_t exponent) {
  for (std::size_t at = 0; at + stride <= row.size(); at += stride) {
    std::uint16_t half = 0;
    std::memcpy(&half, row.data() + at, sizeof half);
    if ((half & exponent) == exponent) return false;
  }
  return true;
}

}  // namespace

std::string RowTypes::name() const {
  std::string out = ggml_type_name(keys);
  if (values != keys) out.append(" and ").append(ggml_type_name(values));
  return out;
}

bool is_finite_row(ggml_type type, std::span<const std::byte> row) {
  constexpr std::uint16_t kHalf = 0x7c00, kBrainHalf = 0x7f80;
  return are_finite_halves(row, ggml_type_size(type), type == GGML_TYPE_BF16 ? kBrainHalf : kHalf);  // of q8_0 the scales
}

ggml_tensor* gathered_rows(ggml_context* context, const ggml_tensor* from, const ggml_tensor* to, ggml_tensor* ids,
                           bool as_words) {
  if (as_words) {
    ggml_tensor* const moved = ggml_get_rows(context, words_of(context, from), ids);
    moved->data = to->data;
    moved->buffer = to->buffer;
    return moved;
  }
  return settled(ggml_cpy(context, ggml_get_rows(context, alias_of(context, from), ids), alias_of(context, to)));
}

bool moved_as_words(ggml_backend_buffer_type_t type, const ggml_tensor* rows) {
  if (rows->nb[1] % sizeof(std::int32_t) != 0) return false;
  const GgmlContext context = make_context(4);
  ggml_tensor* const ids = ggml_new_tensor_2d(context.get(), GGML_TYPE_I32, rows->ne[1], rows->ne[2]);
  return ggml_backend_dev_supports_op(ggml_backend_buft_get_device(type), gathered_rows(context.get(), rows, rows, ids, true));
}

}  // namespace namm::llama
