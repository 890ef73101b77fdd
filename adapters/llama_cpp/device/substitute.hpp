#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "adapters/llama_cpp/device/attention_nodes.hpp"
#include "adapters/llama_cpp/device/batch_inputs.hpp"

namespace namm::llama {

/// Computes graphs of the runtime with nodes of ours in the place of those that use its cache, and between others: one list of
/// both, so that the device gets one graph and its order is that of its stream. Nodes are kept while batches look alike.
class Substitute {
 public:
  /// Throws std::runtime_error if there is no memory on the device, or it cannot compute a node.
  ggml_status compute(const DeviceStream& stream, ggml_cgraph* graph, std::span<const LayerTask> tasks);
  /// What was wanted of the attention of the graph that was computed last, in the order of its tasks; waits until it is done.
  std::vector<SlotAttention> attention(const DeviceStream& stream, std::span<const LayerTask> tasks);
  /// The next batch gets nodes of its own: what they read was replaced, and may lie where it lay before.
  void forget() { key_.reset(); }
  /// Device memory for masks, slots and results.
  std::int64_t bytes() const { return buffer_ ? static_cast<std::int64_t>(ggml_backend_buffer_get_size(buffer_.get())) : 0; }

 private:
  struct Place {
    const void *data = nullptr, *buffer = nullptr;
    std::array<std::int64_t, GGML_MAX_DIMS> shape{};
    std::array<std::size_t, GGML_MAX_DIMS> strides{};
    bool operator==(const Place&) const = default;
  };
  struct LayerKey {
    GraphPart part;
    const ProbeTensors* probe;
    int plain_before;
    std::vector<Place> places;               // of what the nodes read and write
    std::array<std::int32_t, 4> parameters;  // of attention
    bool operator==(const LayerKey&) const = default;
  };
  /// Two batches with the same key are computed by the same nodes.
  struct Key {
    std::size_t changes;
    std::vector<LayerInputs> inputs;
    std::vector<LayerKey> layers;
    bool operator==(const Key&) const = default;
  };
  static Place place_of(const ggml_tensor* tensor);
  static std::int64_t tile_of(const LayerInputs& layer);
  Key key_of(ggml_cgraph* graph, std::span<const LayerTask> tasks) const;
  void build(const DeviceStream& stream, ggml_cgraph* graph, std::span<const LayerTask> tasks);
  void build_layer(ggml_cgraph* graph, const LayerTask& task, const LayerInputs& layer, bool measuring);
  void build_changes(int before);

  BatchInputs batch_;
  static constexpr auto kRooms = static_cast<std::size_t>(Room::count);
  std::size_t room_[kRooms] = {}, room_at_[kRooms] = {};
  std::optional<Key> key_;  // of the nodes below, where they are computed and masks are on the device
  ggml_backend_buffer_type_t type_ = nullptr;
  GgmlContext context_;
  GgmlBuffer buffer_;
  ggml_tensor *inputs_ = nullptr, *outputs_ = nullptr;
  std::vector<std::pair<int, ggml_tensor*>> ours_;  // before the runtime's node with that index, ascending
  std::set<std::size_t> turned_;                    // columns that a node makes already, by where they are
  std::vector<int> replaced_;                       // nodes of the runtime that are not computed, ascending
  std::vector<ggml_tensor*> nodes_;
  std::vector<float> fetched_;
};

}  // namespace namm::llama
