#include "calibrate/largest_attention.hpp"

#include <algorithm>

#include <Eigen/Core>

namespace namm::calibrate {
namespace {

using Logits = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using RowsOfHead = Eigen::Map<const Logits, 0, Eigen::OuterStride<>>;

/// One head's part of [token][heads * size].
RowsOfHead rows_of(const std::vector<float>& all, std::size_t heads, std::size_t head, std::size_t size) {
  return {all.data() + head * size, static_cast<Eigen::Index>(all.size() / (heads * size)), static_cast<Eigen::Index>(size),
          Eigen::OuterStride<>(static_cast<Eigen::Index>(heads * size))};
}

void append_turned(std::vector<float>& to, const float* from, std::size_t count, std::size_t heads, std::size_t size,
                   std::span<const std::int32_t> positions, const Rotation* rotation) {
  const std::size_t before = to.size();
  to.insert(to.end(), from, from + count * heads * size);
  if (rotation && count > 0) rotation->turn(std::span(to).subspan(before), heads, positions.first(count));
}

}  // namespace

void LargestAttention::on_tokens(const LayerTokens& tokens) {
  Layer& layer = layers_[tokens.layer];
  layer.kv_heads = static_cast<std::size_t>(tokens.kv_heads);
  layer.key_size = tokens.key_size;
  append_turned(layer.keys, tokens.keys, tokens.count(), layer.kv_heads, tokens.key_size, tokens.positions, tokens.rotation);
  layer.key_positions.insert(layer.key_positions.end(), tokens.positions.begin(), tokens.positions.end());
}

void LargestAttention::on_queries(const LayerQueries& queries) {
  Layer& layer = layers_.at(queries.layer);
  layer.heads = queries.heads;
  layer.scale = queries.scale;
  const auto begin = std::lower_bound(queries.positions.begin(), queries.positions.end(), range_.begin);
  const auto end = std::lower_bound(begin, queries.positions.end(), range_.end);
  const auto first = static_cast<std::size_t>(begin - queries.positions.begin());
  const auto count = static_cast<std::size_t>(end - begin);
  append_turned(layer.queries, queries.queries + first * queries.heads * queries.key_size, count, queries.heads, queries.key_size,
                queries.positions.subspan(first), queries.rotation);
  layer.query_positions.insert(layer.query_positions.end(), begin, end);
}

PromptScores::ByHead LargestAttention::largest_of(const Layer& layer) const {
  const std::size_t group = layer.heads / layer.kv_heads;
  PromptScores::ByHead out(layer.kv_heads, std::vector<float>(static_cast<std::size_t>(context_tokens_)));
  for (std::size_t h = 0; h < layer.heads; ++h) {
    std::vector<float>& largest = out[h / group];
    Logits logits = rows_of(layer.queries, layer.heads, h, layer.key_size) *
                    rows_of(layer.keys, layer.kv_heads, h / group, layer.key_size).transpose() * layer.scale;
    for (Eigen::Index q = 0; q < logits.rows(); ++q) {
      // nothing is evicted and tokens come in their order: what a query sees is a prefix
      const auto seen = std::upper_bound(layer.key_positions.begin(), layer.key_positions.end(),
                                         layer.query_positions[static_cast<std::size_t>(q)]) -
                        layer.key_positions.begin();
      auto row = logits.row(q).head(seen);
      row = (row.array() - row.maxCoeff()).exp();
      row /= row.sum();
      const auto tokens = std::min(static_cast<std::size_t>(seen), largest.size());
      for (std::size_t i = 0; i < tokens; ++i) largest[i] = std::max(largest[i], row[static_cast<Eigen::Index>(i)]);
    }
  }
  return out;
}

std::map<int, PromptScores::ByHead> LargestAttention::largest() const {
  std::map<int, PromptScores::ByHead> out;
  for (const auto& [index, layer] : layers_)
    if (!layer.query_positions.empty()) out[index] = largest_of(layer);
  return out;
}

}  // namespace namm::calibrate
