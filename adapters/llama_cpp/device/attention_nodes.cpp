#include "adapters/llama_cpp/device/attention_nodes.hpp"

#include <algorithm>

#include "adapters/llama_cpp/device/attention_shares.hpp"
#include "adapters/llama_cpp/device/spectrogram_nodes.hpp"

namespace namm::llama {
namespace {

class AttentionNodes : AttentionShares {
 public:
  using AttentionShares::AttentionShares;

  void make() {
    if (in_.rows) rows();
    for (std::int64_t first = 0; in_.sums && first < queries(); first += in_.tile)
      add_sums(first, std::min(in_.tile, queries() - first));
  }

 private:
  void rows() {
    ggml_tensor* const all = in_.query_ids ? probabilities_of(in_.query_ids, in_.mask_ids)
                                           : probabilities(queries_of(context_, in_.attention), in_.mask);
    if (group_ == 1 && !in_.attention->src[4]) {
      all->data = in_.rows->data;
      all->buffer = in_.rows->buffer;
      return;
    }
    into(ggml_sum_rows(context_, by_slot(all)), in_.rows);
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
  make_spectrogram_nodes(context, in, out, place);
  for (ggml_tensor* const node : out) node->flags |= GGML_TENSOR_FLAG_COMPUTE;
  return out;
}

std::size_t attention_tensors(const ggml_tensor* attention, std::int64_t queries, std::int64_t tile) {
  constexpr std::size_t kEach = 20, kEachHead = 8;
  const std::size_t heads = attention->src[4] ? static_cast<std::size_t>(attention->src[1]->ne[2]) : 0;
  return (kEach + kEachHead * heads) * static_cast<std::size_t>(1 + (queries + tile - 1) / std::max<std::int64_t>(tile, 1));
}

}  // namespace namm::llama
