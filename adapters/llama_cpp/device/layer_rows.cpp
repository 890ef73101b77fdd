#include "adapters/llama_cpp/device/layer_rows.hpp"

#include <ggml-alloc.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <stdexcept>
#include <string>
#include <utility>

namespace namm::llama {
namespace {

/// A small graph of ours on a device, with what it needs beside it. Everything queued before is done before it begins, and it is
/// done when run() returns.
class SmallGraph {
 public:
  explicit SmallGraph(const DeviceStream& stream) : stream_(stream), context_(make_context(32, 16)) {
    graph_ = ggml_new_graph_custom(context_.get(), 16, false);
  }
  ggml_context* context() const { return context_.get(); }
  void want(ggml_tensor* result) {
    ggml_set_output(result);
    ggml_build_forward_expand(graph_, result);
  }
  void give(ggml_tensor* tensor, const std::vector<std::int32_t>& numbers) {
    ggml_set_input(tensor);
    inputs_.emplace_back(tensor, &numbers);
  }
  /// Returns the bytes that intermediate results took.
  std::size_t run() {
    const std::unique_ptr<ggml_gallocr, void (*)(ggml_gallocr_t)> room(
        ggml_gallocr_new(ggml_backend_get_default_buffer_type(stream_.backend)), ggml_gallocr_free);
    ggml_backend_synchronize(stream_.backend);
    if (!room || !ggml_gallocr_alloc_graph(room.get(), graph_))
      throw std::runtime_error("KV cache: the device has no memory to move rows in; use a smaller batch (-ub) or budget");
    for (const auto& [tensor, numbers] : inputs_)
      ggml_backend_tensor_set(tensor, numbers->data(), 0, numbers->size() * sizeof(std::int32_t));
    const ggml_status status = stream_.compute(stream_.backend, graph_);
    ggml_backend_synchronize(stream_.backend);
    if (status != GGML_STATUS_SUCCESS) throw std::runtime_error("KV cache: the device could not move rows");
    fetch_();
    return ggml_gallocr_get_buffer_size(room.get(), 0);
  }
  /// Read before the room of the results goes.
  void fetch(ggml_tensor* result, std::vector<float>& to) {
    want(result);
    fetch_ = [result, &to] {
      to.resize(static_cast<std::size_t>(ggml_nelements(result)));
      ggml_backend_tensor_get(result, to.data(), 0, to.size() * sizeof(float));
    };
  }

 private:
  const DeviceStream& stream_;
  GgmlContext context_;
  ggml_cgraph* graph_;
  std::vector<std::pair<ggml_tensor*, const std::vector<std::int32_t>*>> inputs_;
  std::function<void()> fetch_ = [] {};
};

/// The first rows of each head.
ggml_tensor* rows_of(ggml_context* context, ggml_tensor* tensor, std::int64_t rows) {
  return settled(ggml_view_3d(context, tensor, tensor->ne[0], rows, tensor->ne[2], tensor->nb[1], tensor->nb[2], 0));
}

}  // namespace

LayerRows::LayerRows(ggml_backend_buffer_type_t type, ggml_type number, int kv_heads, std::int64_t key_size,
                     std::int64_t value_size)
    : type_(type), number_(number), key_size_(key_size), value_size_(value_size) {
  for (int h = 0; h < kv_heads; ++h) slots_.push_back(std::make_shared<RowSlots>());
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
  std::int64_t rows = keys_ ? std::min(keys_->ne[1], capacity) : 0;
  std::vector<std::int32_t> flat;  // [head][row]
  if (!from.empty()) {
    std::size_t longest = 0;
    for (const auto& head : from) longest = std::max(longest, head.size());
    rows = static_cast<std::int64_t>(longest);
    for (const auto& head : from) {
      flat.insert(flat.end(), head.begin(), head.end());
      flat.resize(flat.size() + longest - head.size());  // rows that nobody will see
    }
  }
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
    keys = ggml_new_tensor_3d(context.get(), number_, key_size_, capacity, heads);
    values = ggml_new_tensor_3d(context.get(), number_, value_size_, capacity, heads);
    buffer = allocate(context);
  }
  if (capacity > 0 && holds_content_) {
    content = ggml_new_tensor_3d(content_context.get(), GGML_TYPE_F32, 1, capacity, heads);
    content_buffer = allocate(content_context);
  }
  std::size_t beside = 0;
  if (rows > 0) {
    SmallGraph graph(stream);
    ggml_tensor* ids = nullptr;
    if (!from.empty()) graph.give(ids = ggml_new_tensor_2d(graph.context(), GGML_TYPE_I32, rows, heads), flat);
    for (const auto& [old, fresh] : {std::pair{keys_, keys}, std::pair{values_, values}, std::pair{content_, content}}) {
      if (!old || !fresh) continue;
      ggml_tensor* const source = alias_of(graph.context(), old);
      ggml_tensor* const moved = ids ? ggml_get_rows(graph.context(), source, ids) : rows_of(graph.context(), source, rows);
      graph.want(settled(ggml_cpy(graph.context(), moved, rows_of(graph.context(), alias_of(graph.context(), fresh), rows))));
    }
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
  peak_ = std::max(peak_, before + bytes() + static_cast<std::int64_t>(beside));
}

std::vector<std::vector<float>> LayerRows::norms(const DeviceStream& stream, bool values) const {
  std::vector<std::vector<float>> out(slots_.size());
  for (std::size_t h = 0; h < out.size(); ++h) out[h].resize(slots_[h]->cells().size());
  ggml_tensor* const rows = values ? values_ : keys_;
  if (!rows) return out;
  SmallGraph graph(stream);
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
  return static_cast<std::size_t>(key_size_ + value_size_) * ggml_type_size(number_) + (holds_content_ ? sizeof(float) : 0);
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
