#pragma once
#include <ggml.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "adapters/llama_cpp/device/own_graph.hpp"

namespace namm::llama {

/// Who sees what, for attention over the slots of a layer.
enum class MaskKind {
  runtimes,  ///< as the runtime has it: nothing was dropped, slots are cells
  uploaded,  ///< made by the host: for a few queries
  gathered   ///< made on the device, out of the runtime's: a column for each slot
};

/// What the nodes of a layer are made of. T queries, H query heads, K KV heads, S slots, M heads with a mask of their own: 1 or
/// K.
struct LayerTensors {
  const ggml_tensor *key_rows = nullptr, *value_rows = nullptr;  ///< the runtime's: F32 [size * K, T]
  const ggml_tensor* attention = nullptr;                        ///< the runtime's node: queries, parameters, its result
  const ggml_tensor *keys = nullptr, *values = nullptr;          ///< ours: [size, capacity, K]
  ggml_tensor* slots = nullptr;                                  ///< I64 [T, K]: where the rows go
  MaskKind kind = MaskKind::runtimes;
  std::int64_t slot_count = 0;  ///< S
  std::int64_t masks = 1;       ///< M
  ggml_tensor* mask = nullptr;  ///< uploaded: F16 [S, T, 1, M]
  ggml_tensor* columns =
      nullptr;  ///< gathered: F16 [T, streams * cells + 1]: the runtime's mask turned, and a column that nobody sees
  ggml_tensor* cells = nullptr;  ///< gathered: I32 [S * M]
};

/// Queries of a runtime's attention node as [size, T, heads], whatever streams they are of: one behind the other. Throws
/// std::runtime_error if they are not.
ggml_tensor* queries_of(ggml_context* context, const ggml_tensor* attention);

/// Nodes of ours for one layer, in the order in which they are to be computed; null where there is none.
struct LayerNodes {
  ggml_tensor *write_keys = nullptr, *write_values = nullptr;
  ggml_tensor* gather = nullptr;  ///< gathered: F32 [T, S * M]
  ggml_tensor* halve = nullptr;   ///< the same in F16: matrices of one type are turned fast
  ggml_tensor* turn = nullptr;    ///< F16 [S, T, M]
  ggml_tensor* sinks = nullptr;   ///< sinks_apart()
  ggml_tensor* mask = nullptr;    ///< of `attend`, F16 [S, T, 1, M]: no node
  /// Attention, F32 [value size, H / K, T, K], and behind it what takes its result to where the runtime's node has its own. With
  /// sinks, which are of query heads, for each KV head: [value size, H / K, T].
  std::vector<ggml_tensor*> attend;
};

/// Room for what is computed on the way. Layers come one after the other: they share it.
enum class Room {
  sinks,
  gathered,
  halved,
  mask,
  attended,
  plain,
  squares,
  key_scores,
  square_scores,
  value_scores,
  products,
  turned,
  queries,
  tile_mask,
  tile_sums,
  hop_rows,
  hop_halves,
  count
};

/// The node that makes columns of the runtime's mask: F16 [cells, T] turned into the first cells of `columns`.
ggml_tensor* turn_mask(ggml_context* context, const ggml_tensor* mask, ggml_tensor* columns);

/// Makes them. KV heads go along dimension 3, where other graphs have streams: there each may have a mask of its own.
/// `place` gives data to a tensor of ours before the next one is made of it, or notes its size and gives none.
/// `direct`: where one query's result may go to the runtime's tensor at once: true if attention needs no room behind it.
LayerNodes make_nodes(ggml_context* context, const LayerTensors& in, const std::function<void(ggml_tensor*, Room)>& place,
                      const std::function<bool(const ggml_tensor*)>& direct);

/// The node that copies the runtime's attention sinks [H] to F32 [H / K, K], rows apart: Vulkan takes no tensor that begins
/// where its driver cannot bind one, and the sinks of a few query heads are a few bytes. Null: it has none.
ggml_tensor* sinks_apart(ggml_context* context, const ggml_tensor* attention, std::int64_t kv_heads,
                         const std::function<void(ggml_tensor*, Room)>& place);
/// Those of one KV head.
ggml_tensor* sinks_of(ggml_context* context, ggml_tensor* apart, std::int64_t kv_head);

/// Nodes that are made for a layer at most, and the views between them.
std::size_t tensors_of_layer(const ggml_tensor* attention);

}  // namespace namm::llama
