#include "calibrate/recorder.hpp"

#include <algorithm>
#include <cmath>

namespace namm::calibrate {
namespace {

float log_norm(const float* value, std::size_t size) {
  double sum = 1e-12;  // a value of zeros has a logarithm, too
  for (std::size_t d = 0; d < size; ++d) sum += static_cast<double>(value[d]) * value[d];
  return static_cast<float>(0.5 * std::log(sum));
}

}  // namespace

Recorder::Recorder(ProbeInput input, std::int32_t context_tokens, std::vector<PositionRange> queries)
    : input_(input), context_tokens_(context_tokens), queries_(std::move(queries)) {}

void Recorder::on_tokens(const LayerTokens& tokens) {
  const std::size_t heads = static_cast<std::size_t>(tokens.kv_heads);
  const std::size_t keys = heads * tokens.key_size, values = heads * tokens.value_size;
  Layer& layer = layers_[tokens.layer];
  if (layer.attention.empty()) {
    layer.kv_heads = tokens.kv_heads;
    layer.key_size = tokens.key_size;
    layer.value_size = tokens.value_size;
    layer.width = input_ == ProbeInput::layer ? keys + values : keys;
    layer.attention.assign(heads, std::vector<float>(context_tokens()));
    layer.value_log_norms.resize(heads);
    layer.evenness.resize(heads);
    layer.queries.assign(heads, 0);
    layer.inputs.reserve(context_tokens() * layer.width);
  }
  for (std::size_t i = 0; i < tokens.count() && tokens.positions[i] < context_tokens_; ++i) {
    layer.inputs.insert(layer.inputs.end(), tokens.keys + i * keys, tokens.keys + (i + 1) * keys);
    if (input_ == ProbeInput::layer)
      layer.inputs.insert(layer.inputs.end(), tokens.values + i * values, tokens.values + (i + 1) * values);
    for (std::size_t h = 0; h < heads; ++h)
      layer.value_log_norms[h].push_back(log_norm(tokens.values + i * values + h * tokens.value_size, tokens.value_size));
  }
}

void Recorder::on_attention(const AttentionRows& rows) {
  Layer& layer = layers_.at(rows.layer);
  const auto head = static_cast<std::size_t>(rows.kv_head);
  std::vector<float>& largest = layer.attention[head];
  const std::size_t tokens = std::min(rows.positions.size(), largest.size());  // nothing is evicted: token i has position i
  for (int row = 0; row < rows.rows; ++row) {
    const std::int32_t position = rows.first_position + row;
    if (std::none_of(queries_.begin(), queries_.end(),
                     [&](const PositionRange& range) { return position >= range.begin && position < range.end; }))
      continue;
    const float* const attention = rows.attention.data() + static_cast<std::size_t>(row) * rows.stride;
    const std::size_t far = std::min(tokens, static_cast<std::size_t>(std::max(0, position - kNear)));
    for (std::size_t i = 0; i < far; ++i) largest[i] = std::max(largest[i], attention[i]);
    if (far >= kSinks + Evenness::kFewest && layer.queries[head]++ % kEvery == 0)
      layer.evenness[head].add({attention + kSinks, far - kSinks});
  }
}

void Recorder::add(int layer, int kv_head, std::span<const float> largest, const Evenness& evenness) {
  Layer& to = layers_.at(layer);
  const auto head = static_cast<std::size_t>(kv_head);
  for (std::size_t i = 0; i < std::min(largest.size(), to.attention[head].size()); ++i)
    to.attention[head][i] = std::max(to.attention[head][i], largest[i]);
  to.evenness[head].add(evenness);
}

}  // namespace namm::calibrate
