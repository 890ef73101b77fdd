#include "adapters/llama_cpp/device/graph_view.hpp"

#include <cstring>
#include <stdexcept>

namespace namm::llama {
namespace {

/// Sets the field of a graph that `get` reads. It is found by its value, and by what `get` says once it is another.
template <typename Value, typename Get>
bool set_field(GraphView& view, Value value, const Get& get) {
  constexpr std::size_t kSearched = 128;
  const Value before = get(view.graph());
  if (before == value) return true;
  for (std::size_t at = 0; at < kSearched; at += sizeof(Value)) {
    char* const field = view.bytes + at;
    if (std::memcmp(field, &before, sizeof before) != 0) continue;
    std::memcpy(field, &value, sizeof value);
    if (get(view.graph()) == value) return true;
    std::memcpy(field, &before, sizeof before);
  }
  return false;
}

}  // namespace

void GraphView::consist_of(std::span<ggml_tensor*> nodes) {
  const bool done =
      set_field(*this, nodes.data(), [](ggml_cgraph* graph) { return ggml_graph_nodes(graph); }) &&
      set_field(*this, static_cast<int>(nodes.size()), [](ggml_cgraph* graph) { return ggml_graph_n_nodes(graph); });
  if (!done)
    throw std::runtime_error(
        "KV cache: the nodes of a graph must be where ggml's are known to be, are not; run with the llama.cpp that namm was "
        "built with, or keep the cache in host memory (--no-kv-offload)");
}

}  // namespace namm::llama
