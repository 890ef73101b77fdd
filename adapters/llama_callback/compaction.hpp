#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "adapters/llama_callback/cache_layout.hpp"

namespace namm::llama {

/// Moves the rows that each KV head keeps into the same few cells, each head its own tokens: entry e of every head is in cell
/// cells[e] before; afterwards cell into[i] holds, of head h, what entry kept[h][i] was. Keys were cached after their rotary
/// embedding, so a moved row keeps its token's position. Bytes are moved as they are, whatever the type; on any device
/// (ggml_backend_tensor_get and _set: 2 copies of what is in use). `into` is a subset of `cells`; kept[h].size() == into.size().
void compact(const StockLayer& layer, std::span<const std::int32_t> cells, std::span<const std::vector<std::int32_t>> kept,
             std::span<const std::int32_t> into);

}  // namespace namm::llama
