#include "trace/record.hpp"

#include <cstring>
#include <stdexcept>

#include "kernels/half.hpp"

namespace namm::trace {
namespace {

std::size_t per_token(bool all) {
  return all ? 3 + kBins : 2;
}

std::size_t bytes_of_number(Rows rows) {
  return rows == Rows::none ? 0 : rows == Rows::f16 ? 2 : 4;
}

}  // namespace

Layout::Layout(const Settings& settings, const RecordedLayer& layer, std::size_t tokens)
    : tokens_(tokens), updates_(update_points(tokens, settings.interval_tokens)) {
  head_floats_ = 4 * tokens;
  for (const std::size_t seen : updates_) {
    first_.push_back(head_floats_);
    head_floats_ += seen * per_token(settings.all_statistics);
  }
  rows_ = layer.heads.size() * head_floats_ * sizeof(float);
  const auto width =
      static_cast<std::size_t>(layer.shape.kv_heads) * static_cast<std::size_t>(layer.shape.key_size + layer.shape.value_size);
  bytes_ = rows_ + tokens * width * bytes_of_number(settings.rows);
}

std::uint64_t record_bytes(const Settings& settings, std::size_t tokens) {
  std::uint64_t sum = 0;
  for (const RecordedLayer& layer : settings.layers) sum += Layout(settings, layer, tokens).bytes();
  return sum;
}

LayerRecord::LayerRecord(const Settings& settings, const RecordedLayer& layer, Layout layout, std::span<const std::byte> bytes)
    : layer_(&layer), all_(settings.all_statistics), rows_(settings.rows), layout_(std::move(layout)), bytes_(bytes) {}

std::span<const float> LayerRecord::floats(std::size_t first, std::size_t count) const {
  return {reinterpret_cast<const float*>(bytes_.data()) + first, count};
}

std::span<const float> LayerRecord::token_values(std::size_t head, Layout::TokenValue which) const {
  return floats(layout_.token_values(head, which), layout_.tokens());
}

UpdateStatistics LayerRecord::statistics(std::size_t head, std::size_t update) const {
  const std::size_t first = layout_.statistics(head, update), seen = layout_.updates()[update];
  UpdateStatistics out;
  out.accumulated = floats(first, seen);
  out.last_row = floats(first + seen, seen);
  if (!all_) return out;
  out.window_mean = floats(first + 2 * seen, seen);
  out.spectrogram = floats(first + 3 * seen, kBins * seen);
  return out;
}

void LayerRecord::read_rows(std::size_t first, std::size_t count, std::vector<float>& keys, std::vector<float>& values) const {
  if (!has_rows()) throw std::logic_error("trace: keys and values were not recorded");
  const auto heads = static_cast<std::size_t>(layer_->shape.kv_heads);
  const std::size_t key_width = heads * static_cast<std::size_t>(layer_->shape.key_size);
  const std::size_t value_width = heads * static_cast<std::size_t>(layer_->shape.value_size);
  const std::size_t number = bytes_of_number(rows_);
  const auto copy = [&](std::size_t offset, std::size_t width, std::vector<float>& to) {
    to.resize(count * width);
    const std::byte* const from = bytes_.data() + layout_.rows() + (offset + first * width) * number;
    if (rows_ == Rows::f32) {
      std::memcpy(to.data(), from, to.size() * sizeof(float));
      return;
    }
    for (std::size_t i = 0; i < to.size(); ++i) {
      std::uint16_t half;
      std::memcpy(&half, from + i * sizeof half, sizeof half);
      to[i] = kernels::half_to_float(half);
    }
  };
  copy(0, key_width, keys);
  copy(layout_.tokens() * key_width, value_width, values);
}

PromptRecord without_rows(const PromptRecord& record, const Settings& settings) {
  PromptRecord out;
  out.facts = record.facts;
  auto memory = std::make_shared<std::vector<std::vector<std::byte>>>();
  memory->reserve(record.layers.size());
  for (std::size_t l = 0; l < record.layers.size(); ++l) {
    const LayerRecord& layer = record.layers[l];
    const auto statistics = layer.bytes().first(layer.layout().rows());
    const std::vector<std::byte>& kept = memory->emplace_back(statistics.begin(), statistics.end());
    out.layers.emplace_back(settings, settings.layers[l], Layout(settings, settings.layers[l], layer.layout().tokens()), kept);
  }
  out.memory = std::move(memory);
  return out;
}

}  // namespace namm::trace
