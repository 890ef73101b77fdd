#include "adapters/llama_cpp/device/layer_rows.hpp"

#include <ggml-alloc.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <stdexcept>
#include <string>
#include <utility>

#include "adapters/llama_cpp/device/small_graph.hpp"

namespace namm::llama {

LayerRows::LayerRows(ggml_backend_buffer_type_t type, const RowTypes& numbers, int kv_heads, std::int64_t key_size,
                     std::int64_t value_size)
    : type_(type), numbers_(numbers), key_size_(key_size), value_size_(value_size) {
  for (int h = 0; h < kv_heads; ++h) slots_.push_back(std::make_shared<RowSlots>(numbers.bytes(key_size, value_size)));
}

std::int64_t LayerRows::extent() const {
  std::size_t rows = 0;
  for (const auto& head : slots_) rows = std::max(rows, head->cells().size());
  return padded(rows);
}

void LayerRows::grow(const DeviceStream& stream) {
  const std::int64_t needed = extent(), ahead = padded(static_cast<std::size_t>(capacity() + share()));
  if (needed <= capacity()) return;
  try {
    move(stream, std::max(needed, ahead), {});
  } catch (const std::runtime_error&) {
    if (ahead <= needed) throw;
    move(stream, needed, {});
  }
}

void LayerRows::shrink(const DeviceStream& stream) {
  std::size_t most = 0;
  for (const auto& head : slots_) most = std::max(most, head->used());
  if (padded(most) > capacity() - std::max(share(), kStep)) return;
  std::vector<std::vector<std::int32_t>> from;
  for (const auto& head : slots_) from.push_back(head->in_use());
  move(stream, padded(most), from);
  for (const auto& head : slots_) head->close_gaps();
}

/// To new tensors: rows as they are, or where `from` is given, row i of a head from its row from[head][i].
void LayerRows::move(const DeviceStream& stream, std::int64_t capacity, const std::vector<std::vector<std::int32_t>>& from) {
  const auto heads = static_cast<std::int64_t>(slots_.size());
  const std::int64_t before = bytes();
  GgmlContext context = make_context(4), content_context = make_context(1);
  GgmlBuffer buffer, content_buffer;
  ggml_tensor *keys = nullptr, *values = nullptr, *content = nullptr;
  const auto allocate = [&](const GgmlContext& tensors) {
    GgmlBuffer out(ggml_backend_alloc_ctx_tensors_from_buft(tensors.get(), type_));
    if (!out)
      throw std::runtime_error("KV cache: the device has no memory for " + std::to_string(capacity) +
                               " tokens of a layer; use a smaller budget or a shorter text");
    ggml_backend_buffer_clear(out.get(), 0);  // rows that nobody sees must be finite all the same
    return out;
  };
  if (capacity > 0) {
    keys = ggml_new_tensor_3d(context.get(), numbers_.keys, key_size_, capacity, heads);
    values = ggml_new_tensor_3d(context.get(), numbers_.values, value_size_, capacity, heads);
    buffer = allocate(context);
  }
  if (capacity > 0 && holds_content_) {
    content = ggml_new_tensor_3d(content_context.get(), GGML_TYPE_F32, 1, capacity, heads);
    content_buffer = allocate(content_context);
  }
  std::size_t beside = 0;
  if (keys_ && keys) {
    std::vector<std::int32_t> rows;  // [head][new row]: all of them, so that what is moved to is in one piece
    for (std::size_t head = 0; head < slots_.size(); ++head)
      for (std::int64_t row = 0; row < capacity; ++row) {
        const auto i = static_cast<std::size_t>(row);
        const bool moves = from.empty() ? row < keys_->ne[1] : i < from[head].size();
        rows.push_back(!moves ? 0 : from.empty() ? static_cast<std::int32_t>(row) : from[head][i]);  // 0: nobody will see it
      }
    SmallGraph graph(stream, "move rows");
    ggml_tensor* const ids = ggml_new_tensor_2d(graph.context(), GGML_TYPE_I32, capacity, heads);
    graph.give(ids, rows);
    for (const auto& [old, fresh] : {std::pair{keys_, keys}, std::pair{values_, values}, std::pair{content_, content}})
      if (old && fresh) graph.want(gathered_rows(graph.context(), old, fresh, ids, moved_as_words(type_, old)));
    beside = graph.run();
  } else if (buffer_) {
    ggml_backend_synchronize(stream.backend);  // it may still be attended to
  }
  buffer_ = std::move(buffer);
  context_ = std::move(context);
  content_buffer_ = std::move(content_buffer);
  content_context_ = std::move(content_context);
  keys_ = keys;
  values_ = values;
  content_ = content;
  moving_ = before + bytes() + static_cast<std::int64_t>(beside);
}

std::vector<std::vector<float>> LayerRows::norms(const DeviceStream& stream, bool values) const {
  std::vector<std::vector<float>> out(slots_.size());
  for (std::size_t h = 0; h < out.size(); ++h) out[h].resize(slots_[h]->cells().size());
  ggml_tensor* const rows = values ? values_ : keys_;
  if (!rows) return out;
  SmallGraph graph(stream, "measure keys and values");
  ggml_context* const context = graph.context();
  ggml_tensor* const numbers = ggml_cpy(context, alias_of(context, rows),
                                        ggml_new_tensor_3d(context, GGML_TYPE_F32, rows->ne[0], rows->ne[1], rows->ne[2]));
  std::vector<float> sums;
  graph.fetch(ggml_sum_rows(context, ggml_sqr(context, numbers)), sums);
  graph.run();
  for (std::size_t h = 0; h < out.size(); ++h)
    for (std::size_t s = 0; s < out[h].size(); ++s)
      if (slots_[h]->cells()[s] != RowSlots::kFree) out[h][s] = std::sqrt(sums[h * static_cast<std::size_t>(rows->ne[1]) + s]);
  return out;
}

std::vector<std::vector<float>> LayerRows::contents(const DeviceStream& stream) const {
  std::vector<std::vector<float>> out(slots_.size());
  ggml_backend_synchronize(stream.backend);
  for (std::size_t h = 0; h < out.size(); ++h) {
    out[h].resize(slots_[h]->cells().size());
    if (content_ && !out[h].empty())
      ggml_backend_tensor_get(content_, out[h].data(), h * content_->nb[2], out[h].size() * sizeof(float));
  }
  return out;
}

std::size_t LayerRows::row_bytes() const {
  return numbers_.bytes(key_size_, value_size_) + (holds_content_ ? sizeof(float) : 0);
}

bool LayerRows::are_finite(std::span<const std::byte> rows) const {
  const std::size_t key = ggml_row_size(numbers_.keys, key_size_), halves = numbers_.bytes(key_size_, value_size_);
  for (; rows.size() >= row_bytes(); rows = rows.subspan(row_bytes())) {
    float content = 0;
    if (holds_content_) std::memcpy(&content, rows.data() + halves, sizeof content);
    if (!is_finite_row(numbers_.keys, rows.first(key)) || !is_finite_row(numbers_.values, rows.subspan(key, halves - key)) ||
        !std::isfinite(content))
      return false;
  }
  return true;
}

template <class Visit>
void LayerRows::for_each_tensor(Visit visit) const {
  std::size_t at = 0;
  for (ggml_tensor* const tensor : {keys_, values_, holds_content_ ? content_ : nullptr}) {
    if (!tensor) continue;
    visit(tensor, tensor->nb[1], at);
    at += tensor->nb[1];
  }
}

std::vector<std::byte> LayerRows::read(const DeviceStream& stream, int kv_head, std::span<const std::int32_t> slots) const {
  std::vector<std::byte> out(slots.size() * row_bytes()), all;
  if (slots.empty()) return out;
  const auto rows = static_cast<std::size_t>(*std::max_element(slots.begin(), slots.end())) + 1;
  ggml_backend_synchronize(stream.backend);
  for_each_tensor([&](ggml_tensor* tensor, std::size_t bytes, std::size_t at) {
    all.resize(rows * bytes);
    ggml_backend_tensor_get(tensor, all.data(), static_cast<std::size_t>(kv_head) * tensor->nb[2], all.size());
    for (std::size_t i = 0; i < slots.size(); ++i)
      std::memcpy(out.data() + i * row_bytes() + at, all.data() + static_cast<std::size_t>(slots[i]) * bytes, bytes);
  });
  return out;
}

void LayerRows::write(const DeviceStream& stream, int kv_head, std::span<const std::int32_t> slots,
                      std::span<const std::byte> rows) {
  if (slots.empty()) return;
  const auto ends = std::minmax_element(slots.begin(), slots.end());
  const std::int32_t first = *ends.first, last = *ends.second;
  std::vector<std::byte> all;
  ggml_backend_synchronize(stream.backend);
  for_each_tensor([&](ggml_tensor* tensor, std::size_t bytes, std::size_t at) {
    // between them are others' rows
    const std::size_t begin = static_cast<std::size_t>(kv_head) * tensor->nb[2] + static_cast<std::size_t>(first) * bytes;
    all.resize(static_cast<std::size_t>(last - first + 1) * bytes);
    ggml_backend_tensor_get(tensor, all.data(), begin, all.size());
    for (std::size_t i = 0; i < slots.size(); ++i)
      std::memcpy(all.data() + static_cast<std::size_t>(slots[i] - first) * bytes, rows.data() + i * row_bytes() + at, bytes);
    ggml_backend_tensor_set(tensor, all.data(), begin, all.size());
  });
}

std::int64_t LayerRows::bytes() const {
  return buffer_ ? static_cast<std::int64_t>(ggml_backend_buffer_get_size(buffer_.get())) : 0;
}

std::int64_t LayerRows::bookkeeping_bytes() const {
  std::int64_t out = content_buffer_ ? static_cast<std::int64_t>(ggml_backend_buffer_get_size(content_buffer_.get())) : 0;
  for (const auto& head : slots_) out += static_cast<std::int64_t>(head->bytes());
  return out;
}

}  // namespace namm::llama
