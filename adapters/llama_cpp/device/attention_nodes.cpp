#include "adapters/llama_cpp/device/attention_nodes.hpp"

#include <algorithm>

#include "adapters/llama_cpp/device/placed_nodes.hpp"
#include "adapters/llama_cpp/version/cache_tensor.hpp"
#include "adapters/llama_cpp/version/nodes.hpp"

namespace namm::llama {
namespace {

class AttentionNodes : PlacedNodes {
 public:
  AttentionNodes(ggml_context* context, const AttentionTensors& in, std::vector<ggml_tensor*>& nodes,
                 const std::function<void(ggml_tensor*, Room)>& place)
      : PlacedNodes(context, nodes, place),
        in_(in),
        query_heads_(in.attention->src[0]->ne[2]),
        kv_heads_(in.keys->ne[2]),
        group_(query_heads_ / kv_heads_) {}

  void make() {
    if (in_.rows) rows();
    for (std::int64_t first = 0; in_.sums && first < queries(); first += in_.tile)
      add_sums(first, std::min(in_.tile, queries() - first));
  }

 private:
  std::int64_t queries() const { return in_.attention->src[0]->ne[1] * in_.attention->src[0]->ne[3]; }
  /// A node whose result is where `result` is.
  ggml_tensor* into(ggml_tensor* node, const ggml_tensor* result) {
    node->data = result->data;
    node->buffer = root(result)->buffer;
    return done(node);
  }

  /// Probabilities of these queries [size, t, H] under their mask [S, t, 1, M]: [S, t, H / K, K].
  ggml_tensor* probabilities(ggml_tensor* queries, ggml_tensor* mask) {
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
    if (!in_.attention->src[4]) return placed(ggml_soft_max_ext(context_, by_group, mask, scale, 0), Room::products);  // in place
    for (std::int64_t h = 0; h < kv_heads_; ++h) {  // sinks are of query heads, masks of KV heads
      ggml_tensor* const own = head_of(by_group, h);
      ggml_tensor* const shares = ggml_soft_max_ext(context_, own, head_of(mask, mask->ne[3] == 1 ? 0 : h), scale, 0);
      ggml_soft_max_add_sinks(shares, sinks_of(context_, in_.attention, h, group_));
      into(shares, own);
    }
    return by_group;
  }
  /// Number `h` along dimension 3.
  ggml_tensor* head_of(ggml_tensor* all, std::int64_t h) {
    return settled(ggml_view_4d(context_, all, all->ne[0], all->ne[1], all->ne[2], 1, all->nb[1], all->nb[2], all->nb[3],
                                static_cast<std::size_t>(h) * all->nb[3]));
  }

  void rows() {
    ggml_tensor* queries = queries_of(context_, in_.attention);
    ggml_tensor* mask = in_.mask;
    if (in_.query_ids) {
      queries = placed(ggml_get_rows(context_, queries, in_.query_ids), Room::queries);
      mask = placed(ggml_get_rows(context_, mask, in_.mask_ids), Room::tile_mask);
    }
    if (group_ == 1 && !in_.attention->src[4]) {
      ggml_tensor* const all = probabilities(queries, mask);
      all->data = in_.rows->data;
      all->buffer = in_.rows->buffer;
      return;
    }
    ggml_tensor* const all = probabilities(queries, mask);
    ggml_tensor* const by_slot = placed(ggml_cont(context_, settled(ggml_permute(context_, all, 1, 2, 0, 3))), Room::turned);
    into(ggml_sum_rows(context_, by_slot), in_.rows);
  }

  void add_sums(std::int64_t first, std::int64_t count) {
    ggml_tensor* const q = queries_of(context_, in_.attention);
    ggml_tensor* const queries = settled(
        ggml_view_3d(context_, q, q->ne[0], count, query_heads_, q->nb[1], q->nb[2], static_cast<std::size_t>(first) * q->nb[1]));
    ggml_tensor* mask =
        settled(ggml_view_4d(context_, in_.mask, in_.slots, count, 1, in_.mask->ne[3], in_.mask->nb[1], in_.mask->nb[2],
                             in_.mask->nb[3], static_cast<std::size_t>(first) * in_.mask->nb[1]));
    if (!ggml_is_contiguous(mask)) mask = placed(ggml_cont(context_, mask), Room::tile_mask);
    ggml_tensor* const by_query =
        settled(ggml_reshape_3d(context_, probabilities(queries, mask), in_.slots, count * group_, kv_heads_));
    ggml_tensor* const by_slot = placed(ggml_cont(context_, settled(ggml_permute(context_, by_query, 1, 0, 2, 3))), Room::turned);
    if (first == 0) {
      into(ggml_sum_rows(context_, by_slot), in_.sums);
      return;
    }
    ggml_tensor* const more = placed(ggml_sum_rows(context_, by_slot), Room::tile_sums);
    ggml_tensor* const sums = settled(ggml_reshape_3d(context_, in_.sums, 1, in_.slots, kv_heads_));
    done(ggml_add_inplace(context_, sums, more));
  }

  const AttentionTensors& in_;
  std::int64_t query_heads_, kv_heads_, group_;
};

}  // namespace

std::int64_t attention_tile(std::int64_t queries, std::int64_t slots, std::int64_t query_heads) {
  const auto row = static_cast<std::int64_t>(sizeof(float)) * slots * query_heads;
  return std::clamp<std::int64_t>(static_cast<std::int64_t>(attention_tile_bytes) / std::max<std::int64_t>(row, 1), 1, queries);
}

std::vector<ggml_tensor*> make_attention_nodes(ggml_context* context, const AttentionTensors& in,
                                               const std::function<void(ggml_tensor*, Room)>& place) {
  std::vector<ggml_tensor*> out;
  AttentionNodes(context, in, out, place).make();
  for (ggml_tensor* const node : out) node->flags |= GGML_TENSOR_FLAG_COMPUTE;
  return out;
}

std::size_t attention_tensors(const ggml_tensor* attention, std::int64_t queries, std::int64_t tile) {
  constexpr std::size_t kEach = 20, kEachHead = 8;
  const std::size_t heads = attention->src[4] ? static_cast<std::size_t>(attention->src[1]->ne[2]) : 0;
  return (kEach + kEachHead * heads) * static_cast<std::size_t>(1 + (queries + tile - 1) / std::max<std::int64_t>(tile, 1));
}

}  // namespace namm::llama
