#include "adapters/llama_cpp/device/layer_nodes.hpp"

#include <stdexcept>

#include "adapters/llama_cpp/version/cache_tensor.hpp"

namespace namm::llama {
namespace {

/// KV heads first .. first + count.
struct Heads {
  std::int64_t first, count;
};

/// The first `rows` rows of these KV heads, heads along dimension 3.
ggml_tensor* rows_by_head(ggml_context* context, const ggml_tensor* tensor, std::int64_t rows, const Heads& heads) {
  return settled(ggml_view_4d(context, alias_of(context, tensor), tensor->ne[0], rows, 1, heads.count, tensor->nb[1],
                              tensor->nb[2], tensor->nb[2], static_cast<std::size_t>(heads.first) * tensor->nb[2]));
}

/// Of masks [S, T, 1, M] those of these heads.
ggml_tensor* mask_of(ggml_context* context, ggml_tensor* mask, const Heads& heads) {
  if (mask->ne[3] == 1 || heads.count == mask->ne[3]) return mask;
  return settled(ggml_view_4d(context, mask, mask->ne[0], mask->ne[1], 1, heads.count, mask->nb[1], mask->nb[2], mask->nb[3],
                              static_cast<std::size_t>(heads.first) * mask->nb[3]));
}

ggml_tensor* write_node(ggml_context* context, const ggml_tensor* rows, const ggml_tensor* to, ggml_tensor* slots) {
  ggml_tensor* const all = alias_of(context, rows);
  ggml_tensor* const by_head = settled(ggml_view_3d(context, all, to->ne[0], rows->ne[1], to->ne[2], all->nb[1],
                                                    static_cast<std::size_t>(to->ne[0]) * sizeof(float), 0));
  return settled(ggml_set_rows(context, alias_of(context, to), by_head, slots));
}

}  // namespace

ggml_tensor* queries_of(ggml_context* context, const ggml_tensor* attention) {
  const ggml_tensor* const q = attention->src[0];
  const std::int64_t queries = q->ne[1] * q->ne[3];
  if (q->ne[3] > 1 && (q->nb[3] != q->nb[1] * static_cast<std::size_t>(q->ne[1]) || !ggml_is_contiguous(attention)))
    throw std::runtime_error(
        "KV cache: queries of all streams must lie one behind the other, do not; use one unified cache (--kv-unified), or keep "
        "the "
        "cache in host memory (--no-kv-offload)");
  return alias_as(context, q, {q->ne[0], queries, q->ne[2], 1},
                  {q->nb[1], q->nb[2], q->nb[2] * static_cast<std::size_t>(q->ne[2])});
}

ggml_tensor* turn_mask(ggml_context* context, const ggml_tensor* mask, ggml_tensor* columns) {
  ggml_tensor* const by_query = alias_of(context, mask);
  ggml_tensor* const seen = settled(ggml_view_2d(context, columns, mask->ne[1], mask->ne[0], columns->nb[1], 0));
  ggml_tensor* const node = settled(ggml_cpy(context, settled(ggml_permute(context, by_query, 1, 0, 2, 3)), seen));
  node->flags |= GGML_TENSOR_FLAG_COMPUTE;
  return node;
}

ggml_tensor* sinks_apart(ggml_context* context, const ggml_tensor* attention, std::int64_t kv_heads,
                         const std::function<void(ggml_tensor*, Room)>& place) {
  const ggml_tensor* const sinks = attention->src[4];
  if (!sinks) return nullptr;
  const std::int64_t group = sinks->ne[0] / kv_heads;
  const std::size_t row = static_cast<std::size_t>(group) * sizeof(float);
  ggml_tensor* const by_head = alias_as(context, sinks, {group, kv_heads, 1, 1}, {row, ggml_nbytes(sinks), ggml_nbytes(sinks)});
  ggml_tensor* const rows =
      ggml_new_tensor_2d(context, GGML_TYPE_F32, static_cast<std::int64_t>(aligned(row) / sizeof(float)), kv_heads);
  place(rows, Room::sinks);
  ggml_tensor* const node =
      settled(ggml_cpy(context, by_head, settled(ggml_view_2d(context, rows, group, kv_heads, rows->nb[1], 0))));
  node->flags |= GGML_TENSOR_FLAG_COMPUTE;
  return node;
}

ggml_tensor* sinks_of(ggml_context* context, ggml_tensor* apart, std::int64_t kv_head) {
  return settled(ggml_view_1d(context, apart, apart->ne[0], static_cast<std::size_t>(kv_head) * apart->nb[1]));
}

std::size_t tensors_of_layer(const ggml_tensor* attention) {
  constexpr std::size_t kLayer = 96, kEachHead = 16;
  return kLayer + (attention->src[4] ? kEachHead * static_cast<std::size_t>(attention->src[1]->ne[2]) : 0);
}

LayerNodes make_nodes(ggml_context* context, const LayerTensors& in, const std::function<void(ggml_tensor*, Room)>& place,
                      const std::function<bool(const ggml_tensor*)>& direct) {
  const ggml_tensor* const result = in.attention;
  const std::int64_t queries = in.slots->ne[0], kv_heads = in.keys->ne[2];
  const std::int64_t group = result->src[0]->ne[2] / kv_heads;
  LayerNodes out;
  out.write_keys = write_node(context, in.key_rows, in.keys, in.slots);
  out.write_values = write_node(context, in.value_rows, in.values, in.slots);

  out.sinks = sinks_apart(context, result, kv_heads, place);

  ggml_tensor* mask = in.mask;
  if (in.kind == MaskKind::runtimes) mask = alias_of(context, result->src[3]);
  if (in.kind == MaskKind::gathered) {
    out.gather = ggml_get_rows(context, in.columns, in.cells);
    place(out.gather, Room::gathered);
    ggml_tensor* const halves = ggml_new_tensor_2d(context, GGML_TYPE_F16, queries, in.slot_count * in.masks);
    place(halves, Room::halved);
    out.halve = settled(ggml_cpy(context, out.gather, halves));
    ggml_tensor* const by_slot = settled(ggml_reshape_3d(context, out.halve, queries, in.slot_count, in.masks));
    mask = ggml_new_tensor_4d(context, GGML_TYPE_F16, in.slot_count, queries, 1, in.masks);
    place(mask, Room::mask);
    // heads along dimension 2, as CUDA wants what it turns
    ggml_tensor* const turned = settled(ggml_reshape_3d(context, mask, in.slot_count, queries, in.masks));
    out.turn = settled(ggml_cpy(context, settled(ggml_permute(context, by_slot, 1, 0, 2, 3)), turned));
  }

  out.mask = mask;

  ggml_tensor* const q = queries_of(context, result);
  const auto attend = [&](const Heads& heads) {
    const auto first = static_cast<std::size_t>(heads.first * group), group_stride = static_cast<std::size_t>(group);
    ggml_tensor* const by_group = settled(ggml_view_4d(context, q, q->ne[0], queries, group, heads.count, q->nb[1], q->nb[2],
                                                       group_stride * q->nb[2], first * q->nb[2]));
    ggml_tensor* const node =
        ggml_flash_attn_ext(context, by_group, rows_by_head(context, in.keys, in.slot_count, heads),
                            rows_by_head(context, in.values, in.slot_count, heads), mask_of(context, mask, heads), 1, 0, 0);
    for (int p = 0; p < 4; ++p) node->op_params[p] = result->op_params[p];  // scale, bias, soft cap, precision
    if (out.sinks) ggml_flash_attn_ext_add_sinks(node, sinks_of(context, out.sinks, heads.first));
    out.attend.push_back(node);
    if (queries == 1 && direct(node)) {  // [value size, H] either way
      node->data = static_cast<char*>(result->data) + first * result->nb[1];
      node->buffer = root(result)->buffer;
      node->extra = result->extra;
    } else {
      place(node, Room::attended);
      ggml_tensor* const where = alias_of(context, result);
      out.attend.push_back(
          settled(ggml_cpy(context, node,
                           settled(ggml_view_4d(context, where, in.values->ne[0], group, queries, heads.count, where->nb[1],
                                                where->nb[2], group_stride * where->nb[1], first * where->nb[1])))));
    }
  };
  if (!out.sinks)
    attend({0, kv_heads});
  else
    for (std::int64_t h = 0; h < kv_heads; ++h) attend({h, 1});
  for (ggml_tensor* const node : {out.write_keys, out.write_values, out.gather, out.halve, out.turn})
    if (node) node->flags |= GGML_TENSOR_FLAG_COMPUTE;
  for (ggml_tensor* const node : out.attend) node->flags |= GGML_TENSOR_FLAG_COMPUTE;
  return out;
}

}  // namespace namm::llama
