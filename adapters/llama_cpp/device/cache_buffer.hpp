#pragma once
#include <ggml-backend.h>

#include <cstddef>

struct ggml_tensor;

namespace namm::llama {

class Instance;

/// A buffer of the device's own type for the runtime's cache tensors, which hold nothing: it has address space and no memory, and
/// any access to it is a fault. What the runtime asks of it is answered here: clearing does nothing, rows that are read are zero,
/// with an error in the log.
ggml_backend_buffer_t make_cache_buffer(ggml_backend_buffer_type_t type, std::size_t size, Instance* owner);

/// Whose cache a tensor (the root of its views) is; null if it is none in such a buffer.
Instance* device_owner_of(const ggml_tensor* cache);

}  // namespace namm::llama
