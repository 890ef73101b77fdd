#pragma once
#include <ggml.h>

#include <span>

namespace namm::llama {

/// ggml's own piece of a graph, by value: exported by its library (ggml-impl.h), declared in no installed header. It is larger
/// than what is returned in registers, so the caller says where it goes, and any block that is large enough will do.
struct GraphView {
  alignas(16) char bytes[512];
  ggml_cgraph* graph() { return reinterpret_cast<ggml_cgraph*>(bytes); }
  /// From now on the piece is these nodes, which must outlive it; uses are counted as in the graph it is of. Throws
  /// std::runtime_error if this ggml keeps its nodes in another way.
  void consist_of(std::span<ggml_tensor*> nodes);
};

}  // namespace namm::llama

/// Weak: a ggml without it can do everything but hold caches in device memory.
extern "C" __attribute__((weak)) namm::llama::GraphView ggml_graph_view(ggml_cgraph* graph, int begin, int end);
