#include "adapters/llama_cpp/device/cache_buffer.hpp"

#include <spdlog/spdlog.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <mutex>

#include "adapters/llama_cpp/backend/instance.hpp"
#include "adapters/llama_cpp/backend/row_trace.hpp"
#include "adapters/llama_cpp/device/device_cache.hpp"
#include "adapters/llama_cpp/version/cache_tensor.hpp"
#include "ggml-backend-impl.h"
#include "ggml.h"

namespace namm::llama {
namespace {

struct CacheBuffer {
  void* base;
  std::size_t size;
  Instance* owner;
};

CacheBuffer& of_buffer(ggml_backend_buffer_t buffer) {
  return *static_cast<CacheBuffer*>(buffer->context);
}

void free_cache_buffer(ggml_backend_buffer_t buffer) {
  munmap(of_buffer(buffer).base, of_buffer(buffer).size);
  delete &of_buffer(buffer);
}

/// For a saved state: who asks for rows learns which cells they are in, and the store has what they hold.
bool noted(const ggml_tensor* tensor, std::size_t offset, const void* data, std::size_t size) {
  Instance* const owner = device_owner_of(root(tensor));
  return owner && owner->device && note_if_traced(tensor, offset, data, size, owner->device->group_of(root(tensor)->buffer));
}

void tell_of_rows(const ggml_tensor* tensor) {
  static std::once_flag once;
  std::call_once(once, [&] {
    spdlog::error(
        "llama.cpp: rows of the KV cache ({}) must not be copied where a policy holds it in device memory, were asked for; they "
        "are empty; save with Attached::save() or under `namm attach`",
        tensor->name);
  });
}

}  // namespace

ggml_backend_buffer_t make_cache_buffer(ggml_backend_buffer_type_t type, std::size_t size, Instance* owner) {
  void* const base = mmap(nullptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED) return nullptr;
  ggml_backend_buffer_i functions{};
  functions.free_buffer = free_cache_buffer;
  functions.get_base = [](ggml_backend_buffer_t buffer) { return of_buffer(buffer).base; };
  functions.clear = [](ggml_backend_buffer_t, std::uint8_t) {};
  functions.memset_tensor = [](ggml_backend_buffer_t, ggml_tensor*, std::uint8_t, std::size_t, std::size_t) {};
  functions.set_tensor = [](ggml_backend_buffer_t, ggml_tensor* tensor, const void* from, std::size_t offset, std::size_t bytes) {
    if (!noted(tensor, offset, from, bytes)) tell_of_rows(tensor);
  };
  functions.get_tensor = [](ggml_backend_buffer_t, const ggml_tensor* tensor, void* to, std::size_t offset, std::size_t bytes) {
    if (noted(tensor, offset, to, bytes)) return;
    tell_of_rows(tensor);
    std::memset(to, 0, bytes);
  };
  // a sequence on its way to another stream: both are empty, and the store has its own copy (CacheStore::copy_stream)
  functions.cpy_tensor = [](ggml_backend_buffer_t, const ggml_tensor* from, ggml_tensor*) {
    return device_owner_of(root(from)) != nullptr;
  };
  return ggml_backend_buffer_init(type, functions, new CacheBuffer{base, size, owner}, size);
}

Instance* device_owner_of(const ggml_tensor* cache) {
  ggml_backend_buffer_t const buffer = cache->buffer;
  return buffer && buffer->iface.free_buffer == free_cache_buffer ? of_buffer(buffer).owner : nullptr;
}

}  // namespace namm::llama
