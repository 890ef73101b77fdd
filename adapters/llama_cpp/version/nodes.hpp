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

/// Products are added up in F32: by ggml_prec_set_acc(), or where there is none yet (0.16), by the function that it has replaced.
/// A template, so that only the one that is there has to be.
template <class Tensor>
void add_up_in_f32(Tensor* products) {
  if constexpr (requires { ggml_prec_set_acc(products, GGML_PREC_F32); })
    ggml_prec_set_acc(products, GGML_PREC_F32);
  else
    ggml_mul_mat_set_prec(products, GGML_PREC_F32);
}

}  // namespace namm::llama
