#pragma once
#include <cstddef>
#include <span>
#include <vector>

#include "namm/cache_policy.hpp"
#include "namm/statistics.hpp"

namespace namm::llama {

/// What a batch writes into one layer of the runtime's cache, as far as the policy asked for it; rows [token][kv_heads * size].
struct WrittenRows {
  std::vector<float> keys, values;  ///< as they are cached
  std::vector<float> plain_keys;    ///< before rotary embedding
  std::vector<float> plain_values;  ///< before rounding
};

/// Adds the batch's tokens to the statistics of a layer's heads: norms, and what the memory's reader makes of the rows; shows
/// them to its observer. `tokens` names the layer, its shape and the positions.
void append_tokens(std::span<HeadStatistics> heads, LayerTokens tokens, const CachePolicy& memory, const WrittenRows& rows);

/// Rows as a cache of this type (ggml_type) holds them and attention sees them: F16 in the end, as in CacheStore, so that norms
/// agree with it.
std::vector<float> as_cached(int ggml_type, const std::vector<float>& rows, std::size_t width);

}  // namespace namm::llama
