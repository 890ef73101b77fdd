#pragma once
#include <ggml.h>

#include <functional>
#include <string>
#include <vector>

namespace namm::llama {

/// The nodes of one layer in a graph of the runtime, by their indices:
///
///     ... SET_ROWS(keys) SET_ROWS(values) ... | views of queries, keys and values | FLASH_ATTN_EXT ...
///                                               free: nodes that compute nothing
struct GraphPart {
  int layer = -1;
  int keys = -1, values = -1, attention = -1;
  int free = 0;  ///< nodes directly before the attention that are views
};

/// The layers whose caches `ours` says are, in the order of their attention. Throws std::runtime_error if the graph does
/// something else with such a cache, or has a part of what a layer does.
std::vector<GraphPart> find_parts(ggml_cgraph* graph, const std::function<bool(const ggml_tensor* cache)>& ours);

/// What a node reads the cache with, if not as llama.cpp does with flash attention; "" if it is fine.
std::string foreign_use(const ggml_tensor* node, const std::function<bool(const ggml_tensor* cache)>& ours);

}  // namespace namm::llama
