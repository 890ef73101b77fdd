#include "adapters/llama_callback/cache_layout.hpp"

#include <stdexcept>
#include <tuple>

#include "adapters/llama_cpp/attachable.hpp"
#include "adapters/llama_cpp/version/cache_tensor.hpp"

namespace namm::llama {
namespace {

/// The cached keys that a softmax is over: through soft caps and biases back to their product with the queries; else null.
const ggml_tensor* keys_of(const ggml_tensor* soft_max) {
  const ggml_tensor* node = soft_max->src[0];
  for (int step = 0; node && step < 8; ++step, node = node->src[0])
    if (node->op == GGML_OP_MUL_MAT) return cache_part(node->src[0]) == CachePart::keys ? node->src[0] : nullptr;
  return nullptr;
}

std::string of_layer(int layer) {
  return " in layer " + std::to_string(layer);
}

}  // namespace

void CacheLayout::learn(ggml_tensor* node) {
  for (const ggml_tensor* const source : node->src)
    if (cache_part(source) == CachePart::unknown)
      problem_ = std::string("it keeps another cache beside keys and values (") + root(source)->name +
                 "), which would still name dropped tokens; use a model without an index";
  if (node->op == GGML_OP_SET_ROWS) {
    learn_write(node);
  } else if (node->op == GGML_OP_FLASH_ATTN_EXT) {
    const ggml_tensor *const keys = converted(node->src[1]), *const values = converted(node->src[2]);
    if (cache_part(keys) != CachePart::keys) return;
    flash_attention_ = true;
    learn_keys_read(keys, parameter(node, 1));
    learn_values_read(values, static_cast<std::size_t>(values->ne[0]), static_cast<int>(values->ne[2]));
  } else if (node->op == GGML_OP_SOFT_MAX) {
    if (const ggml_tensor* const keys = keys_of(node)) learn_keys_read(keys, parameter(node, 1));
  } else if (node->op == GGML_OP_MUL_MAT && cache_part(node->src[0]) == CachePart::values) {
    learn_values_read(node->src[0], static_cast<std::size_t>(node->src[0]->ne[1]), static_cast<int>(node->src[0]->ne[2]));
  }
}

void CacheLayout::learn_write(ggml_tensor* node) {
  const CachePart part = cache_part(node);
  if (part != CachePart::keys && part != CachePart::values) return;
  StockLayer& layer = seen_[layer_of(node)].layer;
  layer.layer = layer_of(node);
  ggml_tensor*& tensor = part == CachePart::keys ? layer.keys : layer.values;
  if (tensor && tensor != root(node)) problem_ = "it has two caches" + of_layer(layer.layer) + "; use a model with one";
  tensor = root(node);
  if (part == CachePart::values)
    layer.values_transposed = node->ne[0] == 1;  // number by number
  else if (!first_keys_)
    first_keys_ = tensor;
}

void CacheLayout::learn_keys_read(const ggml_tensor* keys, float position_bias) {
  Seen& seen = seen_[layer_of(keys)];
  seen.layer.key_size = static_cast<std::size_t>(keys->ne[0]);
  seen.layer.kv_heads = static_cast<int>(keys->ne[2]);
  ++seen.attended;
  if (position_bias != 0) problem_ = kWhyPositionBias;
}

void CacheLayout::learn_values_read(const ggml_tensor* values, std::size_t value_size, int kv_heads) {
  if (cache_part(values) != CachePart::values) return;  // multi-head latent attention: found missing in finish()
  StockLayer& layer = seen_[layer_of(values)].layer;
  layer.value_size = value_size;
  if (layer.kv_heads != kv_heads) problem_ = "it has other heads for keys than for values" + of_layer(layer.layer);
}

void CacheLayout::finish() {
  for (const auto& [index, seen] : seen_) {
    const StockLayer& layer = seen.layer;
    if (!problem_.empty()) break;
    if (layer.keys && (!layer.values || (seen.attended > 0 && layer.value_size == 0)))
      problem_ = kWhyLatent;
    else if (!layer.keys || seen.attended != 1)
      problem_ = "its graph reads the cache" + of_layer(index) + " in a way that is not known; use --attachment backend";
    else if (layer.keys->ne[2] != 1)
      problem_ = "it has " + std::to_string(layer.keys->ne[2]) + " streams of cells; create the context for one sequence";
    else if (layer.keys->ne[1] != seen_.begin()->second.layer.keys->ne[1])
      problem_ = "its layers have caches of different lengths; use --attachment backend";
    else
      for (const auto& [tensor, size, flag] : {std::tuple{layer.keys, layer.key_size, "--cache-type-k"},
                                               std::tuple{layer.values, layer.value_size, "--cache-type-v"}})
        if (size % static_cast<std::size_t>(ggml_blck_size(tensor->type)) != 0)
          problem_ = "heads of " + std::to_string(size) + " numbers share blocks of " +
                     std::to_string(ggml_blck_size(tensor->type)) + " in a cache of type " + ggml_type_name(tensor->type) +
                     ", so that one cannot be moved alone; use f16 (" + flag + ")";
  }
  if (!problem_.empty()) refuse_model({}, problem_);
  for (const auto& [index, seen] : seen_) {
    by_tensor_.emplace(seen.layer.keys, layers_.size());
    by_tensor_.emplace(seen.layer.values, layers_.size());
    layers_.push_back(seen.layer);
  }
}

std::size_t CacheLayout::cells() const {
  return layers_.empty() ? 0 : static_cast<std::size_t>(layers_.front().keys->ne[1]);
}

CacheLayout::Part CacheLayout::part_of(const ggml_tensor* node) const {
  const ggml_tensor* tensor = nullptr;
  if (node->op == GGML_OP_SET_ROWS)
    tensor = root(node);
  else if (node->op == GGML_OP_SOFT_MAX)
    tensor = keys_of(node);
  if (!tensor) return {};
  const auto found = by_tensor_.find(root(tensor));
  if (found == by_tensor_.end()) return {};
  if (node->op == GGML_OP_SOFT_MAX) return {Role::attends, found->second};
  return {layers_[found->second].keys == found->first ? Role::writes_keys : Role::writes_values, found->second};
}

}  // namespace namm::llama
