#include "tests/support/fake_device.hpp"

#include <cstdlib>
#include <cstring>
#include <memory>

#include "ggml-backend-impl.h"

namespace namm::test {
namespace {

constexpr std::size_t kFakeAlignment = 128, kFakeMemory = std::size_t{8} << 30;  // bytes

std::map<ggml_op, int>& fake_counts() {
  static std::map<ggml_op, int> counts;
  return counts;
}

// --- memory -----------------------------------------------------------------------------------------------------------------

char* fake_memory(ggml_backend_buffer_t buffer) {
  return static_cast<char*>(buffer->context);
}

ggml_backend_buffer_t allocate(ggml_backend_buffer_type_t type, std::size_t size) {
  void* const memory = std::aligned_alloc(kFakeAlignment, (size / kFakeAlignment + 1) * kFakeAlignment);
  if (!memory) return nullptr;
  ggml_backend_buffer_i buffer{};
  buffer.free_buffer = [](ggml_backend_buffer_t self) { std::free(self->context); };
  buffer.get_base = [](ggml_backend_buffer_t self) -> void* { return fake_memory(self); };
  buffer.memset_tensor = [](ggml_backend_buffer_t, ggml_tensor* tensor, std::uint8_t value, std::size_t offset,
                            std::size_t bytes) { std::memset(static_cast<char*>(tensor->data) + offset, value, bytes); };
  buffer.set_tensor = [](ggml_backend_buffer_t, ggml_tensor* tensor, const void* from, std::size_t offset, std::size_t bytes) {
    std::memcpy(static_cast<char*>(tensor->data) + offset, from, bytes);
  };
  buffer.get_tensor = [](ggml_backend_buffer_t, const ggml_tensor* tensor, void* to, std::size_t offset, std::size_t bytes) {
    std::memcpy(to, static_cast<const char*>(tensor->data) + offset, bytes);
  };
  buffer.clear = [](ggml_backend_buffer_t self, std::uint8_t value) { std::memset(self->context, value, self->size); };
  return ggml_backend_buffer_init(type, buffer, memory, size);
}

ggml_backend_buffer_type_t memory_type() {
  static ggml_backend_buffer_type type = [] {
    ggml_backend_buffer_type out{};
    out.iface.get_name = [](ggml_backend_buffer_type_t) { return "FAKE0"; };
    out.iface.alloc_buffer = allocate;
    out.iface.get_alignment = [](ggml_backend_buffer_type_t) { return kFakeAlignment; };
    // is_host is left out: it is not
    return out;
  }();
  return &type;
}

// --- computing --------------------------------------------------------------------------------------------------------------

ggml_backend_dev_t cpu_device() {
  return ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
}

ggml_status compute(ggml_backend_t self, ggml_cgraph* graph) {
  for (int i = 0; i < ggml_graph_n_nodes(graph); ++i) ++fake_counts()[ggml_graph_node(graph, i)->op];
  return ggml_backend_graph_compute(static_cast<ggml_backend_t>(self->context), graph);
}

ggml_backend_t make_backend(ggml_backend_dev_t device, const char*) {
  static ggml_guid guid = {0x46, 0x41, 0x4b, 0x45, 0x30, 0x9b, 0x4d, 0x11, 0xa2, 0x07, 0x5c, 0xe8, 0x13, 0x77, 0x3e, 0x52};
  ggml_backend_t const cpu = ggml_backend_dev_init(cpu_device(), nullptr);
  if (!cpu) return nullptr;
  const auto set_threads = reinterpret_cast<void (*)(ggml_backend_t, int)>(
      ggml_backend_reg_get_proc_address(ggml_backend_dev_backend_reg(cpu_device()), "ggml_backend_set_n_threads"));
  if (set_threads) set_threads(cpu, 1);
  ggml_backend_i backend{};
  backend.get_name = [](ggml_backend_t) { return "FAKE0"; };
  backend.free = [](ggml_backend_t self) {
    ggml_backend_free(static_cast<ggml_backend_t>(self->context));
    delete self;
  };
  backend.graph_compute = compute;
  return new ggml_backend{&guid, backend, device, cpu};
}

// --- the device -------------------------------------------------------------------------------------------------------------

const char* fake_name(ggml_backend_dev_t) {
  return "FAKE0";
}
enum ggml_backend_dev_type fake_type(ggml_backend_dev_t) {
  return GGML_BACKEND_DEVICE_TYPE_GPU;
}
void fake_space(ggml_backend_dev_t, std::size_t* free, std::size_t* total) {
  *free = *total = kFakeMemory;
}

ggml_backend_dev_t device_of(ggml_backend_reg_t registry, std::size_t) {
  static ggml_backend_device device = [registry] {
    ggml_backend_device out{};
    out.iface.get_name = fake_name;
    out.iface.get_description = [](ggml_backend_dev_t) { return "the CPU behind memory of its own"; };
    out.iface.get_memory = fake_space;
    out.iface.get_type = fake_type;
    out.iface.get_props = [](ggml_backend_dev_t self, ggml_backend_dev_props* properties) {
      *properties = {};
      properties->name = fake_name(self);
      properties->description = "the CPU behind memory of its own";
      properties->memory_free = properties->memory_total = kFakeMemory;
      properties->type = fake_type(self);
    };
    out.iface.init_backend = make_backend;
    out.iface.get_buffer_type = [](ggml_backend_dev_t) { return memory_type(); };
    out.iface.supports_op = [](ggml_backend_dev_t, const ggml_tensor* node) {
      return ggml_backend_dev_supports_op(cpu_device(), node);
    };
    out.iface.supports_buft = [](ggml_backend_dev_t, ggml_backend_buffer_type_t type) { return type == memory_type(); };
    out.reg = registry;
    return out;
  }();
  return &device;
}

ggml_backend_reg_t registry() {
  static ggml_backend_reg out = [] {
    ggml_backend_reg registry{};
    registry.api_version = GGML_BACKEND_API_VERSION;
    registry.iface.get_name = [](ggml_backend_reg_t) { return "FAKE"; };
    registry.iface.get_device_count = [](ggml_backend_reg_t) { return std::size_t{1}; };
    registry.iface.get_device = device_of;
    registry.iface.get_proc_address = [](ggml_backend_reg_t, const char*) -> void* { return nullptr; };
    return registry;
  }();
  return &out;
}

}  // namespace

ggml_backend_dev_t fake_device() {
  static ggml_backend_dev_t const device = [] {
    ggml_backend_register(registry());
    ggml_backend_dev_t const out = device_of(registry(), 0);
    memory_type()->device = out;
    return out;
  }();
  return device;
}

const std::map<ggml_op, int>& computed_on_fake_device() {
  return fake_counts();
}

bool is_on_fake_device(const ggml_tensor* tensor) {
  ggml_backend_buffer_t const buffer = (tensor->view_src ? tensor->view_src : tensor)->buffer;
  return buffer && buffer->buft == memory_type();
}

}  // namespace namm::test
