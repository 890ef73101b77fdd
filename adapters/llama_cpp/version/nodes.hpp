#pragma once
#include <ggml.h>

#include <cstring>

namespace namm::llama {

/// CLAMP in the memory of its source. Its function in ggml is new (0.16 has none).
inline ggml_tensor* clamp_in_place(ggml_context* context, ggml_tensor* numbers, float least, float most) {
  ggml_tensor* const out = ggml_view_tensor(context, numbers);
  const float bounds[] = {least, most};
  std::memcpy(out->op_params, bounds, sizeof bounds);
  out->op = GGML_OP_CLAMP;
  out->src[0] = numbers;
  return out;
}

}  // namespace namm::llama
