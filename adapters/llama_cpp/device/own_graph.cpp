#include "adapters/llama_cpp/device/own_graph.hpp"

#include <algorithm>
#include <cstring>
#include <new>

#include "adapters/llama_cpp/version/cache_tensor.hpp"

namespace namm::llama {

GgmlContext make_context(std::size_t tensors, std::size_t nodes) {
  GgmlContext out(
      ggml_init({tensors * ggml_tensor_overhead() + (nodes ? ggml_graph_overhead_custom(nodes, false) : 0), nullptr, true}));
  if (!out) throw std::bad_alloc();
  return out;
}

ggml_tensor* alias_of(ggml_context* context, const ggml_tensor* tensor) {
  ggml_tensor* const out = ggml_new_tensor(context, tensor->type, GGML_MAX_DIMS, tensor->ne);
  std::memcpy(out->nb, tensor->nb, sizeof out->nb);
  out->data = tensor->data;
  out->buffer = root(tensor)->buffer;
  out->extra = tensor->extra;
  return out;
}

ggml_tensor* alias_as(ggml_context* context, const ggml_tensor* tensor, const std::array<std::int64_t, 4>& shape,
                      const std::array<std::size_t, 3>& strides) {
  ggml_tensor* const out = alias_of(context, tensor);
  std::copy(shape.begin(), shape.end(), out->ne);
  std::copy(strides.begin(), strides.end(), out->nb + 1);
  return out;
}

ggml_tensor* settled(ggml_tensor* view) {
  if (view->view_src && view->view_src->buffer && view->view_src->data && !view->buffer) ggml_backend_view_init(view);
  return view;
}

}  // namespace namm::llama
