#pragma once
#include "adapters/llama_cpp/backend/instance.hpp"

struct ggml_tensor;

namespace namm::llama {

/// True for the two kinds of node that are ours: writes to an adopted KV cache (SET_ROWS into cache_k_l* and cache_v_l*) and
/// attention over it (FLASH_ATTN_EXT), and for views, which compute nothing. A node that reads an adopted cache in another way is
/// noted as the instance's problem: it would read an empty tensor.
bool takes_node(const ggml_tensor* node);

/// Answers such a node from the instance's store. The runtime's own cache tensors are neither written nor read. Throws what the
/// store throws.
void compute_node(Instance& instance, ggml_tensor* node);

}  // namespace namm::llama
