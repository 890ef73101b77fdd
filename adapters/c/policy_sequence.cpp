#include "adapters/c/policy_sequence.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace namm {
namespace {

[[noreturn]] void refuse(const std::string& text) {
  throw std::invalid_argument(text);
}

std::vector<float> row_norms(const float* rows, std::size_t stride, std::size_t count, std::size_t size) {
  std::vector<float> out(count);
  for (std::size_t i = 0; i < count; ++i) {
    double sum = 0;
    for (std::size_t d = 0; d < size; ++d)
      sum += static_cast<double>(rows[i * stride + d]) * static_cast<double>(rows[i * stride + d]);
    out[i] = static_cast<float>(std::sqrt(sum));
  }
  return out;
}

/// [count][width] without gaps; copied only if there are any.
const float* without_gaps(const float* rows, std::size_t stride, std::size_t count, std::size_t width, std::vector<float>& copy) {
  if (stride == width || count < 2) return rows;
  copy.resize(count * width);
  for (std::size_t i = 0; i < count; ++i) std::copy_n(rows + i * stride, width, copy.data() + i * width);
  return copy.data();
}

}  // namespace

PolicySequence::PolicySequence(CachePolicy policy, std::vector<LayerDescription> layers, double bytes_per_number)
    : policy_(std::move(policy)), layers_(std::move(layers)), bytes_per_number_(bytes_per_number) {
  policy_.store = {};  // rows are the runtime's: no entry of the budget is for means that nobody holds
  require_valid(policy_);
  if (layers_.empty()) refuse("layers: must be at least 1, are 0");
  if (!(bytes_per_number > 0)) refuse("bytes per number: must be above 0, are " + std::to_string(bytes_per_number));
  StatisticsSettings settings;
  settings.needed = policy_.required();
  settings.spectrogram = policy_.spectrogram;
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    const LayerDescription& layer = layers_[l];
    if (l > 0 && layer.layer <= layers_[l - 1].layer)
      refuse("layers: must ascend, layer " + std::to_string(layer.layer) + " stands behind " +
             std::to_string(layers_[l - 1].layer));
    if (layer.kv_heads < 1 || layer.key_size < 1 || layer.value_size < 1 || layer.window < 0)
      refuse("layer " + std::to_string(layer.layer) +
             ": KV heads, key size and value size must be at least 1 and the window 0 or more, are " +
             std::to_string(layer.kv_heads) + ", " + std::to_string(layer.key_size) + ", " + std::to_string(layer.value_size) +
             " and " + std::to_string(layer.window));
    states_.push_back({heads_.size(), 0});
    StatisticsSettings of_layer = settings;
    if (!decides(l)) of_layer.needed = {};
    for (int h = 0; h < layer.kv_heads; ++h) heads_.emplace_back(of_layer);
  }
  if (std::none_of(layers_.begin(), layers_.end(), [](const LayerDescription& l) { return l.window == 0; }))
    refuse("layers: at least one must be without a window, none is; such a cache does not grow, there is nothing to decide");
  if (const ContentReader* const reader = policy_.reader()) {
    std::vector<LayerDescription> decided;
    for (const LayerDescription& layer : layers_)
      if (layer.window == 0) decided.push_back(layer);
    reader->require_layers(decided);
  }
  kept_.resize(heads_.size());
}

std::size_t PolicySequence::layer_index(int layer) const {
  for (std::size_t l = 0; l < layers_.size(); ++l)
    if (layers_[l].layer == layer) return l;
  refuse("layer: must be one that the sequence was made with, is " + std::to_string(layer));
}

std::size_t PolicySequence::head_index(int layer, int kv_head) const {
  const std::size_t l = layer_index(layer);
  if (kv_head < 0 || kv_head >= layers_[l].kv_heads)
    refuse("KV head: must be from 0 to " + std::to_string(layers_[l].kv_heads - 1) + " in layer " + std::to_string(layer) +
           ", is " + std::to_string(kv_head));
  return states_[l].first_head + static_cast<std::size_t>(kv_head);
}

void PolicySequence::append(int layer, std::span<const std::int32_t> positions, const TokenRows& rows) {
  const std::size_t l = layer_index(layer), first = states_[l].first_head, count = positions.size();
  const LayerDescription& shape = layers_[l];
  const auto heads = static_cast<std::size_t>(shape.kv_heads);
  const auto key_size = static_cast<std::size_t>(shape.key_size), value_size = static_cast<std::size_t>(shape.value_size);
  const auto held = heads_[first].view().positions;  // the same newest one in every head
  for (std::size_t i = 0; i < count; ++i) {
    const std::int32_t before = i > 0 ? positions[i - 1] : held.empty() ? -1 : held.back();
    if (positions[i] <= before)
      refuse("append: positions must ascend from above " + std::to_string(before) + ", found " + std::to_string(positions[i]));
  }
  const StatisticSet needed = heads_[first].settings().needed;
  const ContentReader* const reader = decides(l) ? policy_.reader() : nullptr;
  const bool reads_keys = needed.has(Statistic::key_norm) || reader, reads_values = needed.has(Statistic::value_norm) || reader;
  if (count > 0 && ((reads_keys && !rows.keys) || (reads_values && !rows.values)))
    refuse("append: the policy reads " +
           std::string(!reads_values ? "keys"
                       : !reads_keys ? "values"
                                     : "keys and values") +
           ", which are missing");
  std::vector<float> content;
  if (reader && count > 0) {
    std::vector<float> keys, values;
    content.resize(heads * count);
    reader->read({layer, shape.kv_heads, key_size, value_size, positions,
                  without_gaps(rows.keys, rows.key_stride, count, heads * key_size, keys),
                  without_gaps(rows.values, rows.value_stride, count, heads * value_size, values), nullptr},
                 content);
  }
  for (std::size_t h = 0; h < heads; ++h) {
    std::vector<float> key_norms, value_norms;
    if (needed.has(Statistic::key_norm)) key_norms = row_norms(rows.keys + h * key_size, rows.key_stride, count, key_size);
    if (needed.has(Statistic::value_norm))
      value_norms = row_norms(rows.values + h * value_size, rows.value_stride, count, value_size);
    heads_[first + h].append(positions, key_norms, value_norms,
                             content.empty() ? std::span<const float>() : std::span(content).subspan(h * count, count));
  }
  states_[l].tokens += static_cast<std::int64_t>(count);
}

void PolicySequence::observe(int layer, int kv_head, std::span<const float> attention, int rows, std::size_t stride,
                             std::int32_t first_position) {
  if (observes(layer, kv_head)) heads_[head_index(layer, kv_head)].observe(attention, rows, stride, first_position);
}

std::int64_t PolicySequence::tokens_seen() const {
  std::int64_t most = 0;
  for (const Layer& layer : states_) most = std::max(most, layer.tokens);
  return most;
}

bool PolicySequence::due() const {
  return tokens_seen() / policy_.interval_tokens > updated_at_ / policy_.interval_tokens;
}

std::span<const std::int32_t> PolicySequence::kept(int layer, int kv_head) const {
  const std::size_t head = head_index(layer, kv_head);
  if (!selected_) refuse("kept: there must have been an update, there was none; everything is still held");
  return kept_[head];
}

std::span<const std::int32_t> PolicySequence::positions(int layer, int kv_head) const {
  return heads_[head_index(layer, kv_head)].view().positions;
}

void PolicySequence::clear() {
  note_peaks();
  for (HeadStatistics& head : heads_) head = HeadStatistics(head.settings());
  for (Layer& layer : states_) layer.tokens = 0;
  for (auto& kept : kept_) kept.clear();
  selected_ = false;
  updated_at_ = 0;
}

}  // namespace namm
