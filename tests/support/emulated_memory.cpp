// Memory of the emulated devices: one file in memory, mapped where tensors point (no access) and where kernels reach it.
#include "tests/support/emulated_memory.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <cstring>

#include "tests/support/emulated_device.hpp"

namespace namm::test {
namespace {

struct Memory {
  char* seen;     // where tensors point
  char* reached;  // the same bytes
  std::size_t mapped, size;
  EmulatedDevice* device;
};

Memory& memory_of(ggml_backend_buffer_t buffer) {
  return *static_cast<Memory*>(buffer->context);
}

ggml_backend_buffer_t buffer_of(const ggml_tensor* tensor) {
  return tensor->view_src ? tensor->view_src->buffer : tensor->buffer;
}

const char* type_name(ggml_backend_buffer_type_t type) {
  return static_cast<EmulatedDevice*>(type->context)->name.c_str();
}

void release_memory(ggml_backend_buffer_t buffer) {
  Memory& memory = memory_of(buffer);
  munmap(memory.seen, memory.mapped);
  munmap(memory.reached, memory.mapped);
  memory.device->bytes -= memory.size;
  delete &memory;
}

bool copy_within(ggml_backend_buffer_t, const ggml_tensor* from, ggml_tensor* to) {
  if (!on_emulated_device(from)) return false;
  std::memcpy(reach(to), reach(from), ggml_nbytes(from));
  return true;
}

ggml_backend_buffer_i functions() {
  ggml_backend_buffer_i out{};
  out.free_buffer = release_memory;
  out.get_base = [](ggml_backend_buffer_t buffer) -> void* { return memory_of(buffer).seen; };
  out.memset_tensor = [](ggml_backend_buffer_t, ggml_tensor* tensor, std::uint8_t value, std::size_t offset, std::size_t size) {
    std::memset(reach(tensor) + offset, value, size);
  };
  out.set_tensor = [](ggml_backend_buffer_t buffer, ggml_tensor* tensor, const void* from, std::size_t offset, std::size_t size) {
    std::memcpy(reach(tensor) + offset, from, size);
    static_cast<EmulatedDevice*>(buffer->buft->context)->sent += size;
  };
  out.get_tensor = [](ggml_backend_buffer_t, const ggml_tensor* tensor, void* to, std::size_t offset, std::size_t size) {
    std::memcpy(to, reach(tensor) + offset, size);
  };
  out.cpy_tensor = copy_within;
  out.clear = [](ggml_backend_buffer_t buffer, std::uint8_t value) {
    std::memset(memory_of(buffer).reached, value, memory_of(buffer).size);
  };
  return out;
}

ggml_backend_buffer_t allocate(ggml_backend_buffer_type_t type, std::size_t size) {
  auto* const device = static_cast<EmulatedDevice*>(type->context);
  if (device->bytes + size > emulated_settings().memory) return nullptr;
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE)), mapped = (size + page - 1) / page * page;
  const int file = memfd_create("emulated-device", 0);
  if (file < 0 || ftruncate(file, static_cast<off_t>(mapped)) != 0) return nullptr;
  void* const seen = mmap(nullptr, mapped, PROT_NONE, MAP_SHARED, file, 0);
  void* const reached = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  if (seen == MAP_FAILED || reached == MAP_FAILED) return nullptr;
  // what was on a device before is not zero: whoever reads rows that nobody wrote shall see it
  std::memset(reached, 0xff, mapped);
  device->bytes += size;
  if (device->bytes > device->peak) device->peak = device->bytes.load();
  return ggml_backend_buffer_init(type, functions(),
                                  new Memory{static_cast<char*>(seen), static_cast<char*>(reached), mapped, size, device}, size);
}

}  // namespace

void describe_memory(EmulatedDevice& device) {
  device.type.iface.get_name = type_name;
  device.type.iface.alloc_buffer = allocate;
  device.type.iface.get_alignment = [](ggml_backend_buffer_type_t) { return std::size_t{128}; };
  device.type.iface.get_alloc_size = [](ggml_backend_buffer_type_t, const ggml_tensor* tensor) {
    return ggml_nbytes(tensor) + room_behind(tensor);
  };
  device.type.device = &device.device;
  device.type.context = &device;
}

std::size_t room_behind(const ggml_tensor* node) {
  if (node->op != GGML_OP_FLASH_ATTN_EXT || !emulated_settings().room_behind_attention) return 0;
  return static_cast<std::size_t>(node->src[1]->ne[1] * node->src[1]->ne[3]) * sizeof(float);  // a number per key
}

std::size_t room_to_end(const ggml_tensor* tensor) {
  const Memory& memory = memory_of(buffer_of(tensor));
  const auto end = static_cast<std::size_t>(static_cast<const char*>(tensor->data) - memory.seen) + ggml_nbytes(tensor);
  return memory.size > end ? memory.size - end : 0;
}

bool on_emulated_device(const ggml_tensor* tensor) {
  ggml_backend_buffer_t const buffer = buffer_of(tensor);
  return buffer && buffer->iface.free_buffer == release_memory;
}

char* reach(const ggml_tensor* tensor) {
  const Memory& memory = memory_of(buffer_of(tensor));
  return static_cast<char*>(tensor->data) - memory.seen + memory.reached;
}

}  // namespace namm::test
