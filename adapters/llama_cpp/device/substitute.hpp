#pragma once
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "adapters/llama_cpp/device/graph_parts.hpp"
#include "adapters/llama_cpp/device/input_tap.hpp"
#include "adapters/llama_cpp/device/layer_nodes.hpp"
#include "adapters/llama_cpp/device/layer_rows.hpp"

namespace namm::llama {

/// A layer of a graph that is about to be computed; its entries have their slots.
struct LayerTask {
  GraphPart part;
  const LayerRows* rows = nullptr;
  InputBytes cells, mask;  ///< of the batch: I64 [T]; F16 [cells, T]
};

/// Computes graphs of the runtime with nodes of ours in the place of those that use its cache: they stand in the runtime's own
/// list of nodes while it is computed, so that the device gets one graph and its order is that of its stream. Nodes are kept
/// while batches look alike.
class Substitute {
 public:
  /// Throws std::runtime_error if there is no room for a node in the graph or memory on the device.
  ggml_status compute(const DeviceStream& stream, ggml_cgraph* graph, std::span<const LayerTask> tasks);
  /// Device memory for masks, slots and results.
  std::int64_t bytes() const { return buffer_ ? static_cast<std::int64_t>(ggml_backend_buffer_get_size(buffer_.get())) : 0; }

 private:
  /// What differs between layers, with where its inputs are in the buffer.
  struct Layer {
    MaskKind kind = MaskKind::runtimes;
    std::int64_t queries = 0, slot_count = 0, masks = 1, mask_cells = 0;
    std::size_t slots_at = 0, mask_at = 0, columns_at = 0, cells_at = 0;
  };
  static Layer look_at(const LayerTask& task);
  void lay_out(std::span<const LayerTask> tasks);
  std::vector<std::int64_t> key_of(ggml_cgraph* graph, std::span<const LayerTask> tasks) const;
  void build(const DeviceStream& stream, ggml_cgraph* graph, std::span<const LayerTask> tasks);
  void build_layer(ggml_cgraph* graph, const LayerTask& task, const Layer& layer, bool measuring);
  void fill(std::span<const LayerTask> tasks);

  std::vector<Layer> layers_;
  std::size_t input_bytes_ = 0;
  std::size_t room_[3] = {}, room_at_[3] = {};  // by Room
  std::vector<std::int64_t> key_;
  ggml_backend_buffer_type_t type_ = nullptr;
  GgmlContext context_;
  GgmlBuffer buffer_;
  ggml_tensor* inputs_ = nullptr;
  std::vector<std::pair<int, ggml_tensor*>> places_;
  std::vector<char> staging_;
};

}  // namespace namm::llama
