#include "adapters/llama_cpp/backend/backend.hpp"

#include <cstring>
#include <exception>

#include "adapters/llama_cpp/backend/cache_nodes.hpp"
#include "adapters/llama_cpp/backend/instance.hpp"
#include "adapters/llama_cpp/version/cache_tensor.hpp"
#include "ggml-backend-impl.h"
#include "ggml-cpu.h"
#include "ggml.h"

namespace namm::llama {
namespace {

ggml_status graph_compute(ggml_backend_t backend, ggml_cgraph* graph) {
  auto& instance = *static_cast<Instance*>(backend->context);
  if (instance.graph_refused()) return GGML_STATUS_FAILED;
  try {
    for (int i = 0; i < ggml_graph_n_nodes(graph); ++i) {
      ggml_tensor* const node = ggml_graph_node(graph, i);
      compute_node(instance, node);
    }
  } catch (const std::exception& error) {  // the runtime is C: it gets a status, the words wait in take_failure()
    instance.fail(error.what());
    return GGML_STATUS_FAILED;
  } catch (...) {  // of somebody's policy
    instance.fail(kNoException);
    return GGML_STATUS_FAILED;
  }
  return GGML_STATUS_SUCCESS;
}

/// While a context is created exceptions go through: the runtime catches them there. In a batch it does not, and the program
/// would end; a node that is not taken would read an empty cache.
bool supports_node(ggml_backend_dev_t, const ggml_tensor* node) {
  if (is_creating()) return takes_node(node);
  try {
    return takes_node(node);
  } catch (const std::exception&) {
    for (const ggml_tensor* const part : {node, static_cast<const ggml_tensor*>(node->src[0]), converted(node->src[1])})
      if (Instance* const owner = part ? owner_of(root(part)) : nullptr) return owner->graph_unknown = true;
    return false;
  }
}

const char* backend_name(ggml_backend_t) {
  return "NAMM";
}

void backend_free(ggml_backend_t backend) {
  destroy_instance(static_cast<Instance*>(backend->context));
  delete backend;
}

const char* device_name(ggml_backend_dev_t) {
  return "NAMM";
}
const char* device_description(ggml_backend_dev_t) {
  return "KV cache with a memory policy";
}
void device_memory(ggml_backend_dev_t, std::size_t* free, std::size_t* total) {
  *free = *total = 0;
}
enum ggml_backend_dev_type device_type(ggml_backend_dev_t) {
  return GGML_BACKEND_DEVICE_TYPE_ACCEL;
}

void device_properties(ggml_backend_dev_t device, ggml_backend_dev_props* properties) {
  *properties = {};
  properties->name = device_name(device);
  properties->description = device_description(device);
  properties->type = device_type(device);
  properties->caps.buffer_from_host_ptr = true;
}

ggml_guid_t guid() {
  static ggml_guid id = {0x4e, 0x41, 0x4d, 0x4d, 0x7d, 0x1e, 0x42, 0x90, 0x9c, 0x33, 0x51, 0x08, 0xe6, 0x2f, 0xb4, 0x6a};
  return &id;
}

ggml_backend_t device_init(ggml_backend_dev_t device, const char*) {
  ggml_backend_i interface {};
  interface.get_name = backend_name;
  interface.free = backend_free;
  interface.graph_compute = graph_compute;
  return new ggml_backend{guid(), interface, device, make_instance()};
}

ggml_backend_buffer_type_t device_buffer_type(ggml_backend_dev_t) {
  return ggml_backend_cpu_buffer_type();
}
bool supports_buffer_type(ggml_backend_dev_t, ggml_backend_buffer_type_t type) {
  return ggml_backend_buft_is_host(type);
}
ggml_backend_buffer_t buffer_from_host(ggml_backend_dev_t, void* data, std::size_t size, std::size_t) {
  return ggml_backend_cpu_buffer_from_ptr(data, size);
}

void set_threads(ggml_backend_t backend, int threads) {
  static_cast<Instance*>(backend->context)->threads = threads;
}

const char* registry_name(ggml_backend_reg_t) {
  return "NAMM";
}
std::size_t device_count(ggml_backend_reg_t) {
  return 1;
}

ggml_backend_dev_t get_device(ggml_backend_reg_t registry, std::size_t) {
  static ggml_backend_device device = [registry] {
    ggml_backend_device d{};
    d.iface.get_name = device_name;
    d.iface.get_description = device_description;
    d.iface.get_memory = device_memory;
    d.iface.get_type = device_type;
    d.iface.get_props = device_properties;
    d.iface.init_backend = device_init;
    d.iface.get_buffer_type = device_buffer_type;
    d.iface.buffer_from_host_ptr = buffer_from_host;
    d.iface.supports_op = supports_node;
    d.iface.supports_buft = supports_buffer_type;
    d.reg = registry;
    return d;
  }();
  return &device;
}

void* get_proc_address(ggml_backend_reg_t, const char* name) {
  return std::strcmp(name, "ggml_backend_set_n_threads") == 0 ? reinterpret_cast<void*>(&set_threads) : nullptr;
}

}  // namespace

ggml_backend_reg_t backend_registry() {
  static ggml_backend_reg reg = [] {
    ggml_backend_reg r{};
    r.api_version = GGML_BACKEND_API_VERSION;
    r.iface.get_name = registry_name;
    r.iface.get_device_count = device_count;
    r.iface.get_device = get_device;
    r.iface.get_proc_address = get_proc_address;
    return r;
  }();
  return &reg;
}

}  // namespace namm::llama
