#pragma once
#include <ggml.h>

namespace namm::llama {

/// ggml's own piece of a graph, by value: exported by its library (ggml-impl.h), declared in no installed header. It is larger
/// than what is returned in registers, so the caller says where it goes, and any block that is large enough will do.
struct GraphView {
  alignas(16) char bytes[512];
  ggml_cgraph* graph() { return reinterpret_cast<ggml_cgraph*>(bytes); }
};

}  // namespace namm::llama

/// Weak: a ggml without it can do everything but hold caches in device memory.
extern "C" __attribute__((weak)) namm::llama::GraphView ggml_graph_view(ggml_cgraph* graph, int begin, int end);
