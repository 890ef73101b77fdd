#pragma once
#include <ggml-backend.h>
#include <ggml.h>

#include <atomic>
#include <cstddef>
#include <string>

#include "ggml-backend-impl.h"

namespace namm::test {

/// One device: who it is and what is allocated on it.
struct EmulatedDevice {
  std::string name;
  ggml_backend_buffer_type type{};
  ggml_backend_device device{};
  std::atomic<std::size_t> bytes{0}, peak{0}, sent{0};
};

/// Fills the device's buffer type, whose `context` is the device.
void describe_memory(EmulatedDevice& device);
/// Bytes from the end of a tensor to the end of its buffer.
std::size_t room_to_end(const ggml_tensor* tensor);
bool on_emulated_device(const ggml_tensor* tensor);
/// Bytes that attention uses behind its result; 0 for other nodes.
std::size_t room_behind(const ggml_tensor* node);
/// Where a tensor's bytes are for those who may reach them: the kernels, and copies to and from the host.
char* reach(const ggml_tensor* tensor);

}  // namespace namm::test
