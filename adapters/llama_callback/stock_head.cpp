#include "adapters/llama_callback/stock_head.hpp"

#include <cmath>

#include "adapters/llama_cpp/backend/cache_type.hpp"
#include "kernels/half.hpp"

namespace namm::llama {
namespace {

/// Norms of one head's part of each row; empty if they are not needed.
std::vector<float> norms(bool needed, const std::vector<float>& rows, std::size_t tokens, std::size_t head, std::size_t size) {
  std::vector<float> out(needed ? tokens : 0);
  const std::size_t width = tokens > 0 ? rows.size() / tokens : 0;
  for (std::size_t i = 0; i < out.size(); ++i) {
    const float* const row = rows.data() + i * width + head * size;
    double sum = 0;
    for (std::size_t d = 0; d < size; ++d) sum += static_cast<double>(row[d]) * static_cast<double>(row[d]);
    out[i] = static_cast<float>(std::sqrt(sum));
  }
  return out;
}

}  // namespace

std::vector<float> as_cached(int ggml_type, const std::vector<float>& rows, std::size_t width) {
  const CacheType type(ggml_type);
  std::vector<float> out = type.rounds() ? type.round(rows.data(), width, rows.size() / width, width) : rows;
  for (float& x : out) x = kernels::half_to_float(kernels::float_to_half(x));
  return out;
}

void append_tokens(std::span<HeadStatistics> heads, LayerTokens tokens, const CachePolicy& memory, const WrittenRows& rows) {
  const std::size_t count = tokens.count();
  std::vector<float> content;
  tokens.keys = rows.plain_keys.data();
  tokens.values = rows.plain_values.data();
  if (const ContentReader* const reader = memory.reader()) {
    content.resize(heads.size() * count);
    reader->read(tokens, content);
  }
  if (memory.observer && memory.observer->wants_tokens()) memory.observer->on_tokens(tokens);
  for (std::size_t h = 0; h < heads.size(); ++h) {
    const StatisticSet needed = heads[h].settings().needed;
    heads[h].append(tokens.positions, norms(needed.has(Statistic::key_norm), rows.keys, count, h, tokens.key_size),
                    norms(needed.has(Statistic::value_norm), rows.values, count, h, tokens.value_size),
                    content.empty() ? std::span<const float>() : std::span(content).subspan(h * count, count));
  }
}

}  // namespace namm::llama
