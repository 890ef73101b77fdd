#include "trace/recorder.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "kernels/half.hpp"

namespace namm::trace {
namespace {

constexpr std::size_t kNotRecorded = static_cast<std::size_t>(-1);

void copy(std::span<const float> from, float*& to) {
  to = std::copy(from.begin(), from.end(), to);
}

void write_rows(Rows rows, const float* from, std::size_t count, std::byte* to) {
  if (rows == Rows::f32)
    std::memcpy(to, from, count * sizeof(float));
  else
    kernels::floats_to_halves(from, reinterpret_cast<std::uint16_t*>(to), count);
}

}  // namespace

Recorder::Recorder(const Settings& settings, PromptFacts facts) : settings_(settings), facts_(std::move(facts)) {
  for (const RecordedLayer& layer : settings_.layers) {
    Layout layout(settings_, layer, facts_.compressed.size());
    std::vector<std::byte> bytes(layout.bytes());
    layers_.push_back({std::move(layout), std::move(bytes), std::vector<Head>(layer.heads.size())});
  }
}

Recorder::Layer* Recorder::find(int layer, std::size_t& number) {
  const auto found = std::lower_bound(settings_.layers.begin(), settings_.layers.end(), layer,
                                      [](const RecordedLayer& one, int wanted) { return one.shape.layer < wanted; });
  if (found == settings_.layers.end() || found->shape.layer != layer) return nullptr;
  number = static_cast<std::size_t>(found - settings_.layers.begin());
  return &layers_[number];
}

std::size_t Recorder::head_number(std::size_t layer_number, int kv_head) const {
  const std::vector<int>& heads = settings_.layers[layer_number].heads;
  const auto found = std::lower_bound(heads.begin(), heads.end(), kv_head);
  return found == heads.end() || *found != kv_head ? kNotRecorded : static_cast<std::size_t>(found - heads.begin());
}

void Recorder::on_update(const HeadTokens& tokens) {
  std::size_t number = 0;
  Layer* const layer = find(tokens.layer, number);
  if (layer == nullptr) return;
  const std::size_t head = head_number(number, tokens.kv_head);
  if (head == kNotRecorded) return;
  const std::vector<std::size_t>& points = layer->layout.updates();
  Head& at = layer->heads[head];
  // the end of the compressed tokens may be an update twice; updates in the tail decide about nothing that is recorded
  if (at.updates == points.size() || static_cast<std::size_t>(tokens.tokens_seen) != points[at.updates]) return;
  float* to = layer->floats() + layer->layout.statistics(head, at.updates);
  copy(tokens.accumulated, to);
  copy(tokens.last_row, to);
  copy(tokens.window_mean, to);
  copy(tokens.spectrogram, to);
  if (++at.updates < points.size()) return;
  to = layer->floats() + layer->layout.token_values(head, Layout::key_norm);
  copy(tokens.key_norm, to);
  copy(tokens.value_norm, to);
}

void Recorder::on_tokens(const LayerTokens& tokens) {
  std::size_t number = 0;
  Layer* const layer = find(tokens.layer, number);
  if (layer == nullptr) return;
  const auto heads = static_cast<std::size_t>(tokens.kv_heads);
  const std::size_t key_width = heads * tokens.key_size, value_width = heads * tokens.value_size;
  const std::size_t size = settings_.rows == Rows::f16 ? sizeof(std::uint16_t) : sizeof(float);
  std::byte* const keys = layer->bytes.data() + layer->layout.rows();
  std::byte* const values = keys + layer->layout.tokens() * key_width * size;
  for (std::size_t i = 0; i < tokens.count(); ++i) {
    const auto token = static_cast<std::size_t>(tokens.positions[i]);
    if (token >= layer->layout.tokens()) break;
    write_rows(settings_.rows, tokens.keys + i * key_width, key_width, keys + token * key_width * size);
    write_rows(settings_.rows, tokens.values + i * value_width, value_width, values + token * value_width * size);
    ++layer->rows;
  }
}

void Recorder::on_attention(const AttentionRows& rows) {
  std::size_t number = 0;
  Layer* const layer = find(rows.layer, number);
  if (layer == nullptr) return;
  const std::size_t head = head_number(number, rows.kv_head);
  if (head == kNotRecorded) return;
  const std::size_t tokens = layer->layout.tokens(), tail = facts_.tail.size();
  // the position before a token writes it; the very last writes what comes after the answer
  const std::size_t first_answer = tail - facts_.answer_tokens, writes = first_answer > 0 ? first_answer - 1 : 0;
  for (int row = 0; row < rows.rows; ++row) {
    const std::int64_t place = std::int64_t{rows.first_position} + row - static_cast<std::int64_t>(tokens);
    if (place < 0 || static_cast<std::size_t>(place) >= tail) continue;
    const auto query = static_cast<std::size_t>(place);
    const bool answers = query >= writes && (query + 1 < tail || writes + 1 >= tail);
    const bool asks = query < first_answer && query < writes;
    if (!answers && !asks) continue;
    float* const to = layer->floats() + layer->layout.token_values(head, answers ? Layout::answer : Layout::question);
    const float* const attention = rows.attention.data() + static_cast<std::size_t>(row) * rows.stride;
    const float share = 1.0f / static_cast<float>(answers ? std::max<std::size_t>(facts_.answer_tokens, 1) : writes);
    for (std::size_t i = 0; i < tokens; ++i) to[i] += share * attention[i];  // nothing is evicted: token i has position i
  }
}

PromptRecord Recorder::finish() {
  PromptRecord out;
  auto memory = std::make_shared<std::vector<Layer>>(std::move(layers_));
  for (std::size_t l = 0; l < memory->size(); ++l) {
    Layer& layer = (*memory)[l];
    const RecordedLayer& recorded = settings_.layers[l];
    const std::size_t updates = layer.layout.updates().size();
    const bool whole = std::all_of(layer.heads.begin(), layer.heads.end(), [&](const Head& h) { return h.updates == updates; });
    if (!whole || (settings_.rows != Rows::none && layer.rows != layer.layout.tokens()))
      throw std::runtime_error("trace: layer " + std::to_string(recorded.shape.layer) + " must be shown at all " +
                               std::to_string(updates) + " updates, was not; leave it out (--layers)");
    out.layers.emplace_back(settings_, recorded, layer.layout, layer.bytes);
  }
  out.facts = std::move(facts_);
  out.memory = std::move(memory);
  return out;
}

}  // namespace namm::trace
