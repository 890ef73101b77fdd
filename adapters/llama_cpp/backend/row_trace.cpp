#include "adapters/llama_cpp/backend/row_trace.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <functional>
#include <mutex>
#include <unordered_map>

#include "adapters/llama_cpp/backend/instance.hpp"
#include "adapters/llama_cpp/version/cache_tensor.hpp"
#include "ggml-backend-impl.h"
#include "ggml.h"

namespace namm::llama {

namespace {

thread_local RowTrace* active = nullptr;

struct Originals {
  decltype(ggml_backend_buffer_i::get_tensor) get;
  decltype(ggml_backend_buffer_i::set_tensor) set;
};
std::mutex trace_mutex;
auto& originals = *new std::unordered_map<const void*, Originals>;  // by buffer; never destroyed, as in attach_scope.cpp

Originals original_of(const void* buffer) {
  const std::lock_guard<std::mutex> lock(trace_mutex);
  return originals.at(buffer);
}

void tell_of_copy() {
  static std::once_flag once;
  std::call_once(once, [] {
    spdlog::error(
        "llama.cpp: rows of the KV cache must not be copied while a policy holds it, were asked for; they are empty; save "
        "with Attached::save(), under `namm attach`, or without a policy");
  });
}

void get(ggml_backend_buffer_t buffer, const ggml_tensor* tensor, void* data, std::size_t offset, std::size_t size) {
  if (const Instance* const owner = owner_of(root(tensor))) {
    if (note_if_traced(tensor, offset, data, size, group_of_host(*owner, root(tensor)))) return;
    tell_of_copy();
  }
  original_of(buffer).get(buffer, tensor, data, offset, size);
}

/// A sequence on its way to another stream: from one part of the cache tensors to another, both empty. The store has its own copy
/// (CacheStore::copy_stream).
bool within(ggml_backend_buffer_t buffer, const void* data) {
  const auto* const begin = static_cast<const char*>(buffer->iface.get_base(buffer));
  const std::less_equal<const char*> before;
  return before(begin, static_cast<const char*>(data)) && before(static_cast<const char*>(data) + 1, begin + buffer->size);
}

void set(ggml_backend_buffer_t buffer, ggml_tensor* tensor, const void* data, std::size_t offset, std::size_t size) {
  if (const Instance* const owner = owner_of(root(tensor))) {
    if (note_if_traced(tensor, offset, data, size, group_of_host(*owner, root(tensor)))) return;
    if (within(buffer, data)) return;
    tell_of_copy();
  }
  original_of(buffer).set(buffer, tensor, data, offset, size);
}

}  // namespace

void note_rows(const ggml_tensor* tensor, std::size_t offset, const void* data, std::size_t size, const void* group) {
  active->copies_.emplace_back(static_cast<const std::byte*>(data), size);
  const ggml_tensor* const cache = root(tensor);
  if (cache_part(cache) != CachePart::keys) return;
  const auto begin =
      static_cast<std::size_t>(static_cast<const char*>(tensor->data) - static_cast<const char*>(cache->data)) + offset;
  const std::size_t cells = static_cast<std::size_t>(cache->ne[1]), first = begin / cache->nb[1];
  const int stream = static_cast<int>(first / cells);
  std::size_t part = 0;
  while (part < active->rows_.size() && (active->rows_[part].group != group || active->rows_[part].stream != stream)) ++part;
  if (part == active->rows_.size()) {
    active->rows_.push_back({group, stream, {}});
    active->first_.push_back(cache);
  }
  if (active->first_[part] != cache) return;
  for (std::size_t row = 0; row < size / cache->nb[1]; ++row)
    active->rows_[part].cells.push_back(static_cast<std::int32_t>(first % cells + row));
}

bool note_if_traced(const ggml_tensor* tensor, std::size_t offset, const void* data, std::size_t size, const void* group) {
  if (active) note_rows(tensor, offset, data, size, group);
  return active != nullptr;
}

RowTrace::RowTrace() {
  active = this;
}
RowTrace::~RowTrace() {
  active = nullptr;
}

void watch_rows(const ggml_tensor* cache) {
  ggml_backend_buffer_t const buffer = cache->buffer;
  if (!buffer || buffer->iface.get_tensor == get) return;
  const std::lock_guard<std::mutex> lock(trace_mutex);
  originals[buffer] = {buffer->iface.get_tensor, buffer->iface.set_tensor};
  buffer->iface.get_tensor = get;
  buffer->iface.set_tensor = set;
}

}  // namespace namm::llama
