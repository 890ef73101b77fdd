#include "adapters/llama_callback/tensor_rows.hpp"

#include <ggml-backend.h>
#include <ggml.h>

#include <cstring>
#include <stdexcept>
#include <string>

namespace namm::llama {

std::vector<float> read_rows(const ggml_tensor* node, std::size_t width) {
  if (node->type != GGML_TYPE_F32)
    throw std::runtime_error(std::string("KV cache: rows written to it must be of type f32, are ") + ggml_type_name(node->type) +
                             "; use a policy that reads attention alone");
  const auto numbers = static_cast<std::size_t>(ggml_nelements(node));
  std::vector<float> out(numbers);
  if (ggml_is_contiguous(node)) {
    ggml_backend_tensor_get(node, out.data(), 0, numbers * sizeof(float));
    return out;
  }
  // rows with something between them: all of it is fetched at once
  std::vector<char> raw(ggml_nbytes(node));
  ggml_backend_tensor_get(node, raw.data(), 0, raw.size());
  for (std::size_t row = 0; row < numbers / width; ++row)
    std::memcpy(out.data() + row * width, raw.data() + row * node->nb[1], width * sizeof(float));
  return out;
}

void drop_padding(std::vector<float>& rows, std::size_t padded, std::size_t width) {
  if (padded == width) return;
  const std::size_t count = rows.size() / padded;
  for (std::size_t row = 0; row < count; ++row)
    std::memmove(rows.data() + row * width, rows.data() + row * padded, width * sizeof(float));
  rows.resize(count * width);
}

std::vector<std::int32_t> read_cells(const ggml_tensor* write) {
  const ggml_tensor* const indices = write->src[1];
  if (indices->type != GGML_TYPE_I64)
    throw std::runtime_error(std::string("KV cache: the cells written to must be of type i64, are ") +
                             ggml_type_name(indices->type) + "; use the llama.cpp this was built with");
  std::vector<std::int64_t> wide(static_cast<std::size_t>(ggml_nelements(indices)));
  ggml_backend_tensor_get(indices, wide.data(), 0, wide.size() * sizeof(std::int64_t));
  return {wide.begin(), wide.end()};
}

}  // namespace namm::llama
