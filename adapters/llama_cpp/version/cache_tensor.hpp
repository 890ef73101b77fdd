#pragma once
#include <ggml.h>

#include <cstdlib>
#include <cstring>
#include <initializer_list>

namespace namm::llama {

/// What a tensor of llama.cpp's graphs has to do with its caches.
enum class CachePart { none, keys, values, recurrent, unknown };

/// The tensor that a view is of; itself if it is none.
inline const ggml_tensor* root(const ggml_tensor* tensor) {
  while (tensor->view_src) tensor = tensor->view_src;
  return tensor;
}
inline ggml_tensor* root(ggml_tensor* tensor) {
  return const_cast<ggml_tensor*>(root(static_cast<const ggml_tensor*>(tensor)));
}

/// By the names that llama.cpp gives its caches: cache_k_l0, cache_v_l0, cache_r_l0, cache_s_l0; others are indexes and the like.
/// `none` for null and for what is computed, which inherits names.
inline CachePart cache_part(const ggml_tensor* tensor) {
  if (!tensor || root(tensor)->op != GGML_OP_NONE) return CachePart::none;
  const char* const name = root(tensor)->name;
  if (std::strncmp(name, "cache_", 6) != 0) return CachePart::none;
  if (std::strncmp(name, "cache_k_l", 9) == 0) return CachePart::keys;
  if (std::strncmp(name, "cache_v_l", 9) == 0) return CachePart::values;
  for (const char* const recurrent : {"cache_r_l", "cache_s_l", "cache_p_l"})
    if (std::strncmp(name, recurrent, 9) == 0) return CachePart::recurrent;
  return CachePart::unknown;
}

inline bool holds_keys_or_values(const ggml_tensor* tensor) {
  const CachePart part = cache_part(tensor);
  return part == CachePart::keys || part == CachePart::values;
}

/// The layer of a tensor that holds keys or values.
inline int layer_of(const ggml_tensor* tensor) {
  return std::atoi(root(tensor)->name + 9);
}

/// What attention reads: the cache, or where llama.cpp converts an F32 cache to F16 for flash attention, what is converted.
inline const ggml_tensor* converted(const ggml_tensor* tensor) {
  return tensor && tensor->op == GGML_OP_CPY && tensor->src[0] && tensor->src[0]->type == GGML_TYPE_F32 ? tensor->src[0] : tensor;
}

/// The node's parameter `index`, a number.
inline float parameter(const ggml_tensor* node, int index) {
  float value;
  std::memcpy(&value, node->op_params + index, sizeof value);
  return value;
}

}  // namespace namm::llama
