#pragma once
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "adapters/llama_cpp/device/attention_nodes.hpp"
#include "adapters/llama_cpp/device/graph_parts.hpp"
#include "adapters/llama_cpp/device/input_tap.hpp"
#include "adapters/llama_cpp/device/layer_nodes.hpp"
#include "adapters/llama_cpp/device/layer_rows.hpp"
#include "adapters/llama_cpp/device/probe_nodes.hpp"
#include "adapters/llama_cpp/store/row_holder.hpp"

namespace namm::llama {

/// A layer of a graph that is about to be computed; its entries have their slots.
struct LayerTask {
  GraphPart part;
  const LayerRows* rows = nullptr;
  InputBytes cells, mask;             ///< of the batch: I64 [T]; F16 [cells, T]
  int first_stream = 0, streams = 1;  ///< whose queries these are, as many of each
  std::int64_t cells_per_stream = 0;
  const ProbeTensors* probe = nullptr;  ///< what the policy reads of tokens; null: nothing
  PlainRows plain{};                    ///< keys as the probe reads them
  WantedAttention wanted{};             ///< for the policy's statistics
};

/// Computes graphs of the runtime with nodes of ours in the place of those that use its cache, and between others: one list of
/// both, so that the device gets one graph and its order is that of its stream. Nodes are kept while batches look alike.
class Substitute {
 public:
  /// Throws std::runtime_error if there is no memory on the device, or it cannot compute a node.
  ggml_status compute(const DeviceStream& stream, ggml_cgraph* graph, std::span<const LayerTask> tasks);
  /// What was wanted of the attention of the graph that was computed last, in the order of its tasks; waits until it is done.
  std::vector<SlotAttention> attention(const DeviceStream& stream, std::span<const LayerTask> tasks);
  /// The next batch gets nodes of its own: what they read was replaced, and may lie where it lay before.
  void forget() { key_.clear(); }
  /// Device memory for masks, slots and results.
  std::int64_t bytes() const { return buffer_ ? static_cast<std::int64_t>(ggml_backend_buffer_get_size(buffer_.get())) : 0; }

 private:
  /// What differs between layers, with where its inputs are in the buffer.
  struct Layer {
    MaskKind kind = MaskKind::runtimes;
    std::int64_t queries = 0, slot_count = 0, masks = 1, mask_cells = 0;
    std::int64_t query_heads = 0, streams = 1, rows = 0;  // rows of attention that are wanted
    bool sums = false, some = false;                      // some: not of all queries
    std::size_t slots_at = 0, mask_at = 0, columns_at = 0, cells_at = 0, query_ids_at = 0, mask_ids_at = 0;
    std::size_t sums_at = 0, rows_at = 0;  // in what is read back
  };
  static Layer look_at(ggml_cgraph* graph, const LayerTask& task);
  static std::int64_t tile_of(const Layer& layer);
  void lay_out(ggml_cgraph* graph, std::span<const LayerTask> tasks);
  std::vector<std::int64_t> key_of(ggml_cgraph* graph, std::span<const LayerTask> tasks) const;
  void build(const DeviceStream& stream, ggml_cgraph* graph, std::span<const LayerTask> tasks);
  void build_layer(ggml_cgraph* graph, const LayerTask& task, const Layer& layer, bool measuring);
  void fill(std::span<const LayerTask> tasks);

  std::vector<Layer> layers_;
  std::size_t input_bytes_ = 0, output_bytes_ = 0;
  static constexpr auto kRooms = static_cast<std::size_t>(Room::count);
  std::size_t room_[kRooms] = {}, room_at_[kRooms] = {};
  std::vector<std::int64_t> key_;
  ggml_backend_buffer_type_t type_ = nullptr;
  GgmlContext context_;
  GgmlBuffer buffer_;
  ggml_tensor *inputs_ = nullptr, *outputs_ = nullptr;
  std::vector<std::pair<int, ggml_tensor*>> ours_;  // before the runtime's node with that index, ascending
  std::vector<int> replaced_;                       // nodes of the runtime that are not computed, ascending
  std::vector<ggml_tensor*> nodes_;
  std::vector<char> staging_;
  std::vector<float> fetched_;
};

}  // namespace namm::llama
