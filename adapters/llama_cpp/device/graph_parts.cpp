#include "adapters/llama_cpp/device/graph_parts.hpp"

#include <algorithm>
#include <map>
#include <stdexcept>
#include <string>

#include "adapters/llama_cpp/backend/plain_keys.hpp"
#include "adapters/llama_cpp/version/cache_tensor.hpp"

namespace namm::llama {
namespace {

bool computes_nothing(const ggml_tensor* node) {
  switch (node->op) {
    case GGML_OP_NONE:
    case GGML_OP_RESHAPE:
    case GGML_OP_VIEW:
    case GGML_OP_PERMUTE:
    case GGML_OP_TRANSPOSE:
      return true;
    default:
      return false;
  }
}

}  // namespace

std::string foreign_use(const ggml_tensor* node, const std::function<bool(const ggml_tensor* cache)>& ours) {
  if (computes_nothing(node)) return {};
  const auto is_ours = [&](const ggml_tensor* tensor) { return holds_keys_or_values(tensor) && ours(root(tensor)); };
  if (node->op == GGML_OP_SET_ROWS && is_ours(node)) return {};
  if (node->op == GGML_OP_FLASH_ATTN_EXT && is_ours(node->src[1]) && is_ours(node->src[2])) return {};
  const bool touched = is_ours(node) || std::any_of(std::begin(node->src), std::end(node->src), is_ours);
  if (!touched) return {};
  if (node->op == GGML_OP_ROPE)
    return "positions in the cache were shifted (llama_memory_seq_add), which cannot be followed in device memory; enlarge the "
           "context instead, and create it anew";
  return std::string("it uses the KV cache with ")
      .append(ggml_op_name(node->op))
      .append(
          "; enable flash attention, use a cache of type f16, bf16 or q8_0, or if both are so, a model without an index beside "
          "its cache");
}

std::vector<GraphPart> find_parts(ggml_cgraph* graph, const std::function<bool(const ggml_tensor* cache)>& ours) {
  std::map<int, GraphPart> open;
  std::vector<GraphPart> out;
  for (int i = 0; i < ggml_graph_n_nodes(graph); ++i) {
    const ggml_tensor* const node = ggml_graph_node(graph, i);
    if (computes_nothing(node)) continue;
    if (const std::string why = foreign_use(node, ours); !why.empty()) throw std::runtime_error("KV cache: " + why);
    if (node->op == GGML_OP_SET_ROWS && holds_keys_or_values(node) && ours(root(node))) {
      (cache_part(node) == CachePart::keys ? open[layer_of(node)].keys : open[layer_of(node)].values) = i;
    } else if (node->op == GGML_OP_FLASH_ATTN_EXT && holds_keys_or_values(node->src[1]) && ours(root(node->src[1]))) {
      const int layer = layer_of(node->src[1]);
      GraphPart& part = open[layer];
      if (part.keys < 0 || part.values < 0)
        throw std::runtime_error(
            "KV cache: each layer must be written and attended to once in a graph, layer " + std::to_string(layer) +
            " is attended to again or in a piece of the graph; leave evaluation callbacks off, or use a model "
            "whose layers have keys and values of their own");
      part.layer = layer;
      part.attention = i;
      out.push_back(part);
      open.erase(layer);
    }
  }
  if (!open.empty())
    throw std::runtime_error("KV cache: layer " + std::to_string(open.begin()->first) +
                             " must be attended to in the graph that writes it, is not; leave evaluation callbacks off");
  return out;
}

PlainRows find_plain_keys(ggml_cgraph* graph, const GraphPart& part) {
  const ggml_tensor* const written = ggml_graph_node(graph, part.keys)->src[0];
  const PlainKeys::Noted noted = PlainKeys::rotation_of(written, false);
  if (!noted.why_not.empty()) throw std::runtime_error("model: a policy that reads keys cannot be attached: " + noted.why_not);
  if (!noted.rotation && !PlainKeys::without_producer(written)) return {part.keys, written};
  for (int i = part.keys; noted.rotation && i >= 0; --i)
    if (ggml_graph_node(graph, i) == noted.rotation) return {i, noted.rotation->src[0]};
  throw std::runtime_error("KV cache: keys of layer " + std::to_string(part.layer) +
                           " must be computed where they are held for a policy that reads them, come from another device; keep "
                           "the cache in host memory (--no-kv-offload)");
}

}  // namespace namm::llama
