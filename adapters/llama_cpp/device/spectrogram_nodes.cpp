// The spectrogram of attention as products, tile by tile. A frame's transform is linear, so each hop is transformed once, as the
// first half of a frame and as the second:
//
//   hop of the tile     last of the one before | 0            | 1            | ...
//   hop_halves          first  second          | first second | first second |            [68, slots, heads, hops + 1]
//   frame                   \_____________________/   \_____________/
#include "adapters/llama_cpp/device/spectrogram_nodes.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "adapters/llama_cpp/device/attention_shares.hpp"
#include "adapters/llama_cpp/version/nodes.hpp"
#include "kernels/spectrogram_table.hpp"
#include "namm/statistics.hpp"

namespace namm::llama {
namespace {

constexpr std::int64_t kHalf = 2 * kBins, kHalves = 2 * kHalf;  // cosines and sines

class SpectrogramNodes : AttentionShares {
 public:
  using AttentionShares::AttentionShares;

  void make() {
    for (const FrameTensors& of : in_.frames) {
      halves_ = ggml_new_tensor_4d(context_, GGML_TYPE_F32, kHalves, in_.slots, kv_heads_, of.tile + 1);
      make_room(halves_, Room::hop_halves);
      begun_ = false;
      for (std::int64_t first = 0; first < of.hops; first += of.tile) add_hops(of, first, std::min(of.tile, of.hops - first));
    }
  }

 private:
  /// Rows of attention, sums over a group: [S, n, K].
  ggml_tensor* rows(const FrameTensors& of, std::int64_t first, std::int64_t count) {
    const auto ids = [&](ggml_tensor* all) {
      return settled(ggml_view_3d(context_, all, count * kHop, all->ne[1], all->ne[2], all->nb[1], all->nb[2],
                                  static_cast<std::size_t>(first * kHop) * all->nb[0]));
    };
    ggml_tensor* const all = probabilities_of(ids(of.query_ids), ids(of.mask_ids));
    return group_ == 1 ? all : placed(ggml_sum_rows(context_, by_slot(all)), Room::hop_rows);
  }

  /// `part` 0: the first halves of frames, 1: the second ones; of hops `from` .. `from + count`. [34, S, K, count]
  ggml_tensor* halves(std::int64_t part, std::int64_t from, std::int64_t count) {
    return settled(
        ggml_view_4d(context_, halves_, kHalf, in_.slots, kv_heads_, count, halves_->nb[1], halves_->nb[2], halves_->nb[3],
                     static_cast<std::size_t>(part * kHalf) * sizeof(float) + static_cast<std::size_t>(from) * halves_->nb[3]));
  }
  ggml_tensor* whole_hops(std::int64_t from, std::int64_t count) {
    return settled(ggml_view_4d(context_, halves_, kHalves, in_.slots, kv_heads_, count, halves_->nb[1], halves_->nb[2],
                                halves_->nb[3], static_cast<std::size_t>(from) * halves_->nb[3]));
  }

  void add_hops(const FrameTensors& of, std::int64_t first, std::int64_t count) {
    ggml_tensor* const by_hop = settled(ggml_reshape_4d(context_, rows(of, first, count), in_.slots, kHop, count, kv_heads_));
    ggml_tensor* const turned =
        placed(ggml_cont(context_, settled(ggml_permute(context_, by_hop, 1, 0, 3, 2))), Room::turned);  // [16, S, K, count]
    ggml_tensor* const columns = settled(ggml_reshape_2d(context_, turned, kHop, in_.slots * kv_heads_ * count));  // one product
    ggml_tensor* const transformed = ggml_mul_mat(context_, in_.basis, columns);
    add_up_in_f32(transformed);
    into(transformed, whole_hops(1, count));
    const std::int64_t without = first == 0 ? 1 : 0, frames = count - without;  // the first hop of all has none before it
    if (frames > 0) add_frames(of, first / of.tile, without, frames);
    if (first + count == of.hops) return;
    done(ggml_cpy(context_, whole_hops(count, 1), whole_hops(0, 1)));
  }

  void add_frames(const FrameTensors& of, std::int64_t tile, std::int64_t from, std::int64_t frames) {
    ggml_tensor* const sums = placed(ggml_add(context_, halves(0, from, frames), halves(1, from + 1, frames)), Room::products);
    ggml_tensor* const squares = done(ggml_sqr_inplace(context_, sums));
    const auto bins = [&](std::int64_t which) {
      return settled(ggml_view_4d(context_, squares, kBins, in_.slots, kv_heads_, frames, squares->nb[1], squares->nb[2],
                                  squares->nb[3], static_cast<std::size_t>(which * kBins) * sizeof(float)));
    };
    ggml_tensor* const energies = placed(ggml_add(context_, bins(0), bins(1)), Room::turned);
    ggml_tensor* const magnitudes = done(ggml_sqrt_inplace(context_, energies));
    const std::int64_t numbers = kBins * in_.slots * kv_heads_;
    ggml_tensor* const by_frame = settled(ggml_reshape_2d(context_, magnitudes, numbers, frames));
    ggml_tensor* const by_number =
        placed(ggml_cont(context_, settled(ggml_permute(context_, by_frame, 1, 0, 2, 3))), Room::hop_rows);
    ggml_tensor* const weights =
        settled(ggml_view_1d(context_, of.weights, frames, static_cast<std::size_t>(tile) * of.weights->nb[1]));
    ggml_tensor* const weighted = ggml_mul_mat(context_, by_number, weights);
    add_up_in_f32(weighted);
    if (!std::exchange(begun_, true)) {
      into(weighted, of.frames);
      return;
    }
    placed(weighted, Room::tile_sums);
    done(ggml_add_inplace(context_, settled(ggml_reshape_2d(context_, of.frames, numbers, 1)), weighted));
  }

  ggml_tensor* halves_ = nullptr;
  bool begun_ = false;
};

std::vector<float> make_basis() {
  const std::vector<float> table = kernels::spectrogram_table();  // [cosines, sines][17][32]
  std::vector<float> out;
  for (std::ptrdiff_t half = 0; half < 2; ++half)
    for (std::ptrdiff_t row = 0; row < kHalf; ++row) {
      const auto from = table.begin() + row * 2 * kHop + half * kHop;
      out.insert(out.end(), from, from + kHop);
    }
  return out;
}

}  // namespace

const std::vector<float>& spectrogram_basis() {
  static const std::vector<float> basis = make_basis();
  return basis;
}

std::int64_t spectrogram_tile(std::int64_t hops, std::int64_t slots, std::int64_t query_heads, std::int64_t kv_heads) {
  const std::int64_t hop = static_cast<std::int64_t>(sizeof(float)) * slots * std::max(kHop * query_heads, kHalves * kv_heads);
  return std::clamp<std::int64_t>(static_cast<std::int64_t>(attention_tile_bytes) / std::max<std::int64_t>(hop, 1), 1, hops);
}

std::int64_t weights_apart(std::int64_t tile) {
  return static_cast<std::int64_t>(aligned(static_cast<std::size_t>(tile) * sizeof(float)) / sizeof(float));
}

std::vector<float> spectrogram_weights(std::int64_t hops, std::int64_t tile, double decay) {
  const std::int64_t apart = weights_apart(tile);
  std::vector<float> out(static_cast<std::size_t>((hops + tile - 1) / tile * apart), 0.0f);
  for (std::int64_t hop = 1; hop < hops; ++hop) {
    const std::int64_t in_tile = hop % tile - (hop < tile ? 1 : 0);
    out[static_cast<std::size_t>(hop / tile * apart + in_tile)] =
        static_cast<float>((1 - decay) * std::pow(decay, static_cast<double>(hops - 1 - hop)));
  }
  return out;
}

void make_spectrogram_nodes(ggml_context* context, const AttentionTensors& in, std::vector<ggml_tensor*>& nodes,
                            const std::function<void(ggml_tensor*, Room)>& place) {
  SpectrogramNodes(context, in, nodes, place).make();
}

std::size_t spectrogram_tensors(const ggml_tensor* attention, std::int64_t hops, std::int64_t tile) {
  constexpr std::size_t kOnce = 4, kEach = 48, kEachHead = 8;
  const std::size_t heads = attention->src[4] ? static_cast<std::size_t>(attention->src[1]->ne[2]) : 0;
  return kOnce + (kEach + kEachHead * heads) * static_cast<std::size_t>((hops + tile - 1) / std::max<std::int64_t>(tile, 1));
}

}  // namespace namm::llama
