#pragma once
#include <ggml.h>

#include <functional>
#include <string>
#include <vector>

namespace namm::llama {

/// The nodes of one layer in a graph of the runtime, by their indices:
///
///     ... ROPE(keys) ... SET_ROWS(keys) SET_ROWS(values) ... FLASH_ATTN_EXT ...
struct GraphPart {
  int layer = -1;
  int keys = -1, values = -1, attention = -1;
  bool operator==(const GraphPart&) const = default;
};

/// Keys of a batch before they are rotated: there when the node at `before` is about to be computed.
struct PlainRows {
  int before = -1;
  const ggml_tensor* rows = nullptr;  ///< F32, [size, heads, tokens] or [size * heads, tokens]
};

/// The layers whose caches `ours` says are, in the order of their attention. Throws std::runtime_error if the graph does
/// something else with such a cache, or has a part of what a layer does.
std::vector<GraphPart> find_parts(ggml_cgraph* graph, const std::function<bool(const ggml_tensor* cache)>& ours);

/// Those of a layer. Throws std::runtime_error if they are not in this graph or cannot be told.
PlainRows find_plain_keys(ggml_cgraph* graph, const GraphPart& part);

/// What a node reads the cache with, if not as llama.cpp does with flash attention; "" if it is fine.
std::string foreign_use(const ggml_tensor* node, const std::function<bool(const ggml_tensor* cache)>& ours);

}  // namespace namm::llama
