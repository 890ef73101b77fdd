#include "adapters/llama_cpp/device/hooks.hpp"

#include <atomic>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "adapters/llama_cpp/backend/instance.hpp"
#include "adapters/llama_cpp/device/cache_buffer.hpp"
#include "adapters/llama_cpp/device/device_cache.hpp"
#include "adapters/llama_cpp/device/input_tap.hpp"
#include "adapters/llama_cpp/version/cache_tensor.hpp"
#include "ggml-backend-impl.h"

namespace namm::llama {
namespace {

struct HookedBackend {
  Instance* instance;
  ComputeGraph compute;
  void (*free)(ggml_backend_t);
};

std::mutex hook_mutex;
// never destroyed: threads of the program may still evaluate while it exits
auto& hooked_devices = *new std::unordered_map<const void*, ggml_backend_device_i>;     // their own functions
auto& hooked_types = *new std::unordered_map<const void*, ggml_backend_buffer_type_i>;  // the same
auto& hooked_backends = *new std::unordered_map<const void*, HookedBackend>;
std::atomic<bool> any_device_cache{false};  // ever, in this process

template <class Map>
auto original_of(const Map& map, const void* object) {
  const std::lock_guard<std::mutex> lock(hook_mutex);
  return map.at(object);
}

// --- the cache's buffer -------------------------------------------------------------------------------------------------------

/// ggml asks for the size of each tensor of a context before it allocates a buffer for them all: so the tensors of a cache, which
/// have names, tell which buffer is theirs.
thread_local std::vector<std::size_t> cache_sizes;

std::size_t allocation_size(ggml_backend_buffer_type_t type, const ggml_tensor* tensor) {
  const ggml_backend_buffer_type_i original = original_of(hooked_types, type);
  const std::size_t size = original.get_alloc_size ? original.get_alloc_size(type, tensor) : ggml_nbytes(tensor);
  if (scoped_instance() && !tensor->data && !tensor->view_src && holds_keys_or_values(tensor)) {
    const std::size_t alignment = original.get_alignment(type);
    cache_sizes.push_back((size + alignment - 1) / alignment * alignment);
  } else if (!tensor->view_src) {
    cache_sizes.clear();
  }
  return size;
}

/// Whether a buffer of that size is for the tensors asked about last. The very last one may be for the next buffer, if a buffer
/// cannot be that large.
bool is_for_cache(std::size_t size) {
  for (std::size_t without = 0; without < 2 && without < cache_sizes.size(); ++without) {
    std::size_t sum = 0;
    for (std::size_t i = cache_sizes.size() - without; i > 0 && sum < size; --i) sum += cache_sizes[i - 1];
    if (sum != size) continue;
    cache_sizes.erase(cache_sizes.begin(), cache_sizes.end() - static_cast<std::ptrdiff_t>(without));
    return true;
  }
  return false;
}

ggml_backend_buffer_t allocate_buffer(ggml_backend_buffer_type_t type, std::size_t size) {
  Instance* const instance = scoped_instance();
  if (instance && is_for_cache(size)) {
    ggml_backend_buffer_t const buffer = make_cache_buffer(type, size, instance);
    if (!buffer) return nullptr;
    any_device_cache = true;
    device_cache_of(*instance).add_buffer(buffer);
    return buffer;
  }
  ggml_backend_buffer_t const buffer = original_of(hooked_types, type).alloc_buffer(type, size);
  if (buffer && any_device_cache) tap_inputs(buffer);
  return buffer;
}

// --- graphs -------------------------------------------------------------------------------------------------------------------

/// The instance whose cache on a device a node uses; null if there is none.
Instance* instance_of(const ggml_tensor* node) {
  const auto owner = [](const ggml_tensor* tensor) -> Instance* {
    if (!holds_keys_or_values(tensor)) return nullptr;
    const ggml_tensor* const cache = root(tensor);
    if (Instance* const known = device_owner_of(cache)) return known;
    // a context without memory, which a program makes to see what would fit
    const bool empty = cache->buffer && cache->buffer->size == 0 && !ggml_backend_buft_is_host(cache->buffer->buft);
    return empty ? scoped_instance() : nullptr;
  };
  if (Instance* const known = owner(node)) return known;
  for (const ggml_tensor* const source : node->src)
    if (source)
      if (Instance* const known = owner(source)) return known;
  return nullptr;
}

bool supports_operation(ggml_backend_dev_t device, const ggml_tensor* node) {
  const bool supported = original_of(hooked_devices, device).supports_op(device, node);
  if (!any_device_cache && !scoped_instance()) return supported;
  Instance* const instance = instance_of(node);
  if (!instance) return supported;
  if (is_creating()) {  // exceptions go through: the runtime catches them there
    device_cache_of(*instance).note(node, supported);
    return supported;
  }
  try {
    device_cache_of(*instance).note(node, supported);
  } catch (const std::exception&) {
    instance->graph_unknown = true;
  }
  return supported;
}

ggml_status compute_graph(ggml_backend_t backend, ggml_cgraph* graph) {
  const HookedBackend original = original_of(hooked_backends, backend);
  if (!original.instance || !original.instance->device) return original.compute(backend, graph);
  Instance& instance = *original.instance;
  if (instance.graph_refused()) return GGML_STATUS_FAILED;
  try {
    return instance.device->compute(backend, graph);
  } catch (const std::exception& error) {  // the runtime is C: it gets a status, the words wait in take_failure()
    instance.fail(error.what());
  } catch (...) {  // of somebody's policy
    instance.fail(kNoException);
  }
  return GGML_STATUS_FAILED;
}

void free_backend(ggml_backend_t backend) {
  const HookedBackend original = original_of(hooked_backends, backend);
  if (original.instance && original.instance->device) original.instance->device->remove_backend(backend);
  {
    const std::lock_guard<std::mutex> lock(hook_mutex);
    hooked_backends.erase(backend);
  }
  original.free(backend);
}

ggml_backend_t make_backend(ggml_backend_dev_t device, const char* parameters) {
  ggml_backend_t const backend = original_of(hooked_devices, device).init_backend(device, parameters);
  Instance* const instance = scoped_instance();
  if (!backend || !instance) return backend;
  const std::lock_guard<std::mutex> lock(hook_mutex);
  hooked_backends[backend] = {instance, backend->iface.graph_compute, backend->iface.free};
  backend->iface.graph_compute = compute_graph;
  backend->iface.free = free_backend;
  return backend;
}

}  // namespace

DeviceCache& device_cache_of(Instance& instance) {
  if (instance.device) return *instance.device;
  instance.device = std::make_shared<DeviceCache>(instance);
  const std::lock_guard<std::mutex> lock(hook_mutex);
  for (const auto& [backend, hooked] : hooked_backends)
    if (hooked.instance == &instance)
      instance.device->add_backend(static_cast<ggml_backend_t>(const_cast<void*>(backend)), hooked.compute);
  return *instance.device;
}

bool has_device_backend(const Instance& instance) {
  const std::lock_guard<std::mutex> lock(hook_mutex);
  for (const auto& [backend, hooked] : hooked_backends)
    if (hooked.instance == &instance) return true;
  return false;
}

void leave_device_backends(const Instance& instance) {
  const std::lock_guard<std::mutex> lock(hook_mutex);
  for (auto& [backend, hooked] : hooked_backends)
    if (hooked.instance == &instance) hooked.instance = nullptr;
}

void hook_devices() {
  const std::lock_guard<std::mutex> lock(hook_mutex);
  for (std::size_t i = 0; i < ggml_backend_dev_count(); ++i) {
    ggml_backend_dev_t const device = ggml_backend_dev_get(i);
    const auto kind = ggml_backend_dev_type(device);
    if (kind != GGML_BACKEND_DEVICE_TYPE_GPU && kind != GGML_BACKEND_DEVICE_TYPE_IGPU) continue;
    if (!hooked_devices.emplace(device, device->iface).second) continue;
    device->iface.init_backend = make_backend;
    device->iface.supports_op = supports_operation;
    ggml_backend_buffer_type_t const type = ggml_backend_dev_buffer_type(device);
    if (!type || ggml_backend_buft_is_host(type) || !hooked_types.emplace(type, type->iface).second) continue;
    type->iface.alloc_buffer = allocate_buffer;
    type->iface.get_alloc_size = allocation_size;
  }
}

}  // namespace namm::llama
