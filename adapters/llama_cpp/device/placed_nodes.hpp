#pragma once
#include <functional>
#include <vector>

#include "adapters/llama_cpp/device/layer_nodes.hpp"

namespace namm::llama {

/// Collects nodes in the order in which they are computed, their results in rooms that `place` knows.
class PlacedNodes {
 public:
  PlacedNodes(ggml_context* context, std::vector<ggml_tensor*>& nodes, const std::function<void(ggml_tensor*, Room)>& place)
      : context_(context), nodes_(nodes), place_(place) {}

  /// A node with a result of its own, in `room`.
  ggml_tensor* placed(ggml_tensor* node, Room room) {
    place_(node, room);
    return done(node);
  }
  /// A tensor that nodes write to, in `room`.
  void make_room(ggml_tensor* tensor, Room room) { place_(tensor, room); }
  /// A node whose result is where another's was.
  ggml_tensor* done(ggml_tensor* node) {
    nodes_.push_back(settled(node));
    return node;
  }

 protected:
  ggml_context* context_;

 private:
  std::vector<ggml_tensor*>& nodes_;
  const std::function<void(ggml_tensor*, Room)>& place_;
};

}  // namespace namm::llama
