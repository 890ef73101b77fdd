#include "adapters/llama_cpp/device/attention_shares.hpp"

#include "adapters/llama_cpp/version/cache_tensor.hpp"
#include "adapters/llama_cpp/version/nodes.hpp"

namespace namm::llama {

AttentionShares::AttentionShares(ggml_context* context, const AttentionTensors& in, std::vector<ggml_tensor*>& nodes,
                                 const std::function<void(ggml_tensor*, Room)>& place)
    : PlacedNodes(context, nodes, place),
      in_(in),
      query_heads_(in.attention->src[0]->ne[2]),
      kv_heads_(in.keys->ne[2]),
      group_(query_heads_ / kv_heads_) {}

ggml_tensor* AttentionShares::into(ggml_tensor* node, const ggml_tensor* result) {
  node->data = result->data;
  node->buffer = root(result)->buffer;
  return done(node);
}

ggml_tensor* AttentionShares::probabilities_of(ggml_tensor* query_ids, ggml_tensor* mask_ids) {
  ggml_tensor* const queries = placed(ggml_get_rows(context_, queries_of(context_, in_.attention), query_ids), Room::queries);
  return probabilities(queries, placed(ggml_get_rows(context_, in_.mask, mask_ids), Room::tile_mask));
}

ggml_tensor* AttentionShares::by_slot(ggml_tensor* probabilities) {
  return placed(ggml_cont(context_, settled(ggml_permute(context_, probabilities, 1, 2, 0, 3))), Room::turned);
}

ggml_tensor* AttentionShares::probabilities(ggml_tensor* queries, ggml_tensor* mask) {
  const ggml_tensor* const keys = in_.keys;
  ggml_tensor* const held =
      alias_as(context_, keys, {keys->ne[0], in_.slots, keys->ne[2], 1}, {keys->nb[1], keys->nb[2], keys->nb[3]});
  ggml_tensor* products = ggml_mul_mat(context_, held, queries);
  add_up_in_f32(products);
  placed(products, Room::products);
  float scale = parameter(in_.attention, 0);
  if (const float softcap = parameter(in_.attention, 2); softcap != 0) {
    products = done(ggml_scale_inplace(context_, products, scale / softcap));
    products = done(ggml_tanh_inplace(context_, products));
    scale = softcap;
  }
  ggml_tensor* const by_group = settled(ggml_reshape_4d(context_, products, in_.slots, products->ne[1], group_, kv_heads_));
  if (!in_.sinks) return placed(ggml_soft_max_ext(context_, by_group, mask, scale, 0), Room::products);  // in place
  for (std::int64_t h = 0; h < kv_heads_; ++h) {  // sinks are of query heads, masks of KV heads
    ggml_tensor* const own = head_of(by_group, h);
    ggml_tensor* const shares = ggml_soft_max_ext(context_, own, head_of(mask, mask->ne[3] == 1 ? 0 : h), scale, 0);
    ggml_soft_max_add_sinks(shares, sinks_of(context_, in_.sinks, h));
    into(shares, own);
  }
  return by_group;
}

/// Number `h` along dimension 3.
ggml_tensor* AttentionShares::head_of(ggml_tensor* all, std::int64_t h) {
  return settled(ggml_view_4d(context_, all, all->ne[0], all->ne[1], all->ne[2], 1, all->nb[1], all->nb[2], all->nb[3],
                              static_cast<std::size_t>(h) * all->nb[3]));
}

}  // namespace namm::llama
