#include "adapters/llama_cpp/backend/cache_nodes.hpp"

#include <ggml.h>

#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "adapters/llama_cpp/attachable.hpp"
#include "adapters/llama_cpp/backend/cache_type.hpp"
#include "adapters/llama_cpp/version/cache_tensor.hpp"

namespace namm::llama {
namespace {

/// What this attention node has that the store cannot do; empty if nothing.
std::string obstacle(const ggml_tensor* node, const CacheStore& store) {
  const ggml_tensor *k = converted(node->src[1]), *v = converted(node->src[2]), *mask = node->src[3];
  for (const auto& [part, flag] : {std::pair{k, "--cache-type-k"}, std::pair{v, "--cache-type-v"}})
    if (!CacheType::known(root(part)->type))
      return std::string("the KV cache must be of type f16, f32, bf16 or q8_0, is ") + ggml_type_name(root(part)->type) + " (" +
             flag + "); use f16, and --store to pack what is held";
  const bool rotated = root(k)->type == GGML_TYPE_Q8_0 || root(v)->type == GGML_TYPE_Q8_0;
  if (rotated && store.reads_content()) return std::string(kWhyRotated);
  if (cache_part(v) != CachePart::values) return std::string(kWhyLatent);
  if (!mask || mask->type != GGML_TYPE_F16 || mask->ne[2] != 1)
    return "its attention mask is not one F16 mask for all heads; use a model with plain causal attention";
  if (parameter(node, 1) != 0) return std::string(kWhyPositionBias);
  return {};
}

bool supports_attention(const ggml_tensor* node) {
  const ggml_tensor *k = converted(node->src[1]), *v = converted(node->src[2]);
  if (cache_part(k) != CachePart::keys) return false;
  Instance* const owner = adopt(root(k));
  if (!owner) return false;
  if (std::string why = obstacle(node, *owner->store); !why.empty()) {
    owner->problem = std::move(why);
    return false;
  }
  owner->plain_queries.note(layer_of(k), node->src[0], true);
  owner->store->add_layer(
      group_of_host(*owner, root(k)),
      {layer_of(k), static_cast<int>(k->ne[2]), static_cast<std::size_t>(k->ne[0]), static_cast<std::size_t>(v->ne[0]),
       CacheType(root(k)->type).bytes_per_number(), CacheType(root(v)->type).bytes_per_number()},
      static_cast<std::size_t>(root(k)->ne[1]), static_cast<int>(root(k)->ne[2]));
  return true;
}

bool supports_write(const ggml_tensor* node) {
  if (!holds_keys_or_values(node) || node->src[0]->type != GGML_TYPE_F32 || node->src[1]->type != GGML_TYPE_I64) return false;
  Instance* const owner = adopt(root(node));
  if (owner && cache_part(node) == CachePart::keys) owner->plain_keys.note(layer_of(node), node->src[0], false);
  return owner != nullptr;
}

void write(Instance& instance, const ggml_tensor* node) {
  const ggml_tensor* const rows = node->src[0];
  const auto tokens = static_cast<std::size_t>(rows->ne[1]);
  const float* data = static_cast<const float*>(rows->data);
  std::size_t stride = rows->nb[1] / sizeof(float);
  std::vector<float> rounded;
  if (root(node)->type == GGML_TYPE_Q8_0 && instance.store->reads_content()) throw std::runtime_error(std::string(kWhyRotated));
  if (const CacheType type(root(node)->type); type.rounds()) {
    rounded = type.round(data, stride, tokens, static_cast<std::size_t>(rows->ne[0]));
    data = rounded.data();
    stride = static_cast<std::size_t>(rows->ne[0]);
  }
  if (cache_part(node) == CachePart::keys)
    instance.store->write_keys(layer_of(node), data, stride, {static_cast<const std::int64_t*>(node->src[1]->data), tokens},
                               instance.store->reads_content() ? instance.plain_keys.restore(rows, layer_of(node)) : nullptr,
                               instance.plain_keys.rotation());
  else
    instance.store->write_values(layer_of(node), data, stride, tokens);
}

void attend(Instance& instance, ggml_tensor* node) {
  const ggml_tensor *q = node->src[0], *k = converted(node->src[1]), *mask = node->src[3], *sinks = node->src[4];
  AttentionCall call;
  call.queries = static_cast<const float*>(q->data);
  call.query_token_stride = q->nb[1] / sizeof(float);
  call.query_head_stride = q->nb[2] / sizeof(float);
  call.query_stream_stride = q->nb[3] / sizeof(float);
  call.output = static_cast<float*>(node->data);
  call.output_head_stride = node->nb[1] / sizeof(float);
  call.output_token_stride = node->nb[2] / sizeof(float);
  call.output_stream_stride = node->nb[3] / sizeof(float);
  call.query_heads = static_cast<int>(q->ne[2]);
  call.queries_per_stream = static_cast<int>(q->ne[1]);
  call.streams = static_cast<int>(k->ne[3]);
  const ggml_tensor* const cache = root(k);
  call.first_stream = static_cast<int>(k->view_offs / (cache->nb[1] * static_cast<std::size_t>(cache->ne[1])));
  for (int s = 0; s < call.streams; ++s)
    call.masks.push_back(
        {reinterpret_cast<const std::uint16_t*>(static_cast<const char*>(mask->data) + static_cast<std::size_t>(s) * mask->nb[3]),
         mask->nb[1] / sizeof(std::uint16_t), static_cast<std::size_t>(mask->ne[0])});
  call.scale = parameter(node, 0);
  call.softcap = parameter(node, 2);
  call.sinks = sinks ? static_cast<const float*>(sinks->data) : nullptr;
  call.threads = instance.threads;
  if (instance.store->reads_queries()) call.plain_queries = instance.plain_queries.restore_queries(q, layer_of(k));
  instance.store->attend(layer_of(k), call);
}

}  // namespace

bool takes_node(const ggml_tensor* node) {
  switch (node->op) {
    case GGML_OP_NONE:
    case GGML_OP_RESHAPE:
    case GGML_OP_VIEW:
    case GGML_OP_PERMUTE:
    case GGML_OP_TRANSPOSE:
      return true;
    case GGML_OP_SET_ROWS:
      return supports_write(node);
    case GGML_OP_FLASH_ATTN_EXT:
      return supports_attention(node);
    case GGML_OP_CPY:  // of an F32 cache for attention, which reads the store: nothing to do
      return converted(node) != node && holds_keys_or_values(converted(node)) && adopt(root(converted(node)));
    case GGML_OP_ROPE:  // of keys that are cached: positions were shifted
      if (holds_keys_or_values(node->src[0]))
        if (Instance* const owner = owner_of(root(node->src[0])))
          owner->problem =
              "positions in the cache were shifted (llama_memory_seq_add), which the store does not follow; enlarge the context "
              "instead, and create it anew";
      return false;
    default:
      // anything else that reads a cache of ours would read an empty tensor
      for (const ggml_tensor* source : node->src)
        if (holds_keys_or_values(source))
          if (Instance* const owner = owner_of(root(source)))
            owner->problem =
                std::string("it reads the KV cache with ")
                    .append(ggml_op_name(node->op))
                    .append("; enable flash attention, or if it is on (an index beside the cache), use a model without one");
      return false;
  }
}

void compute_node(Instance& instance, ggml_tensor* node) {
  if (!instance.problem.empty()) throw std::runtime_error("KV cache: " + instance.problem);
  if (node->op != GGML_OP_SET_ROWS && node->op != GGML_OP_FLASH_ATTN_EXT) return;
  if (owner_of(root(node->op == GGML_OP_SET_ROWS ? node : converted(node->src[1]))) != &instance)
    throw std::runtime_error(
        "KV cache: a context must have a cache of its own where a policy is attached, reads or writes another one's "
        "(llama_context_params::ctx_other); leave its draft or multi-token prediction off");
  if (node->op == GGML_OP_SET_ROWS) write(instance, node);
  if (node->op == GGML_OP_FLASH_ATTN_EXT) attend(instance, node);
}

}  // namespace namm::llama
