#include "adapters/llama_cpp/backend/lazy_clear.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>

#include "ggml-backend-impl.h"

namespace namm::llama {
namespace {

constexpr std::size_t kLargeBytes = std::size_t{1} << 20;  // below, a clear costs less than a system call saves

void clear(ggml_backend_buffer_t buffer, std::uint8_t value) {
  auto* const begin = static_cast<char*>(buffer->iface.get_base(buffer));
  const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  const std::uintptr_t start = (reinterpret_cast<std::uintptr_t>(begin) + page - 1) / page * page;
  const std::uintptr_t end = (reinterpret_cast<std::uintptr_t>(begin) + buffer->size) / page * page;
  // The buffer is private anonymous memory (ggml allocates it from the heap): dropped pages come back as zeros.
  if (value != 0 || start >= end || madvise(reinterpret_cast<void*>(start), end - start, MADV_DONTNEED) != 0) {
    std::memset(begin, value, buffer->size);
    return;
  }
  std::memset(begin, 0, start - reinterpret_cast<std::uintptr_t>(begin));
  std::memset(reinterpret_cast<void*>(end), 0, reinterpret_cast<std::uintptr_t>(begin) + buffer->size - end);
}

ggml_backend_buffer_t (*original_alloc)(ggml_backend_buffer_type_t, std::size_t) = nullptr;

ggml_backend_buffer_t alloc(ggml_backend_buffer_type_t type, std::size_t size) {
  ggml_backend_buffer_t const buffer = original_alloc(type, size);
  if (buffer && buffer->size >= kLargeBytes) buffer->iface.clear = clear;
  return buffer;
}

}  // namespace

void clear_cpu_buffers_lazily() {
  ggml_backend_buffer_type_t const type = ggml_backend_cpu_buffer_type();
  original_alloc = type->iface.alloc_buffer;
  type->iface.alloc_buffer = alloc;
}

}  // namespace namm::llama
