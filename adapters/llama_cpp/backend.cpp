// The ggml backend: a device of type ACCEL that takes two kinds of node, the writes to the KV cache (SET_ROWS into cache_k_l* and
// cache_v_l*) and the attention over it (FLASH_ATTN_EXT), and answers them from a CacheStore. The runtime's own cache tensors are
// never written nor read, and lazy_clear.hpp keeps them from ever taking memory.
#include <cstring>
#include <mutex>
#include <stdexcept>
#include <unordered_map>

#include <spdlog/spdlog.h>

#include "adapters/llama_cpp/attach_scope.hpp"
#include "adapters/llama_cpp/lazy_clear.hpp"
#include "ggml-backend-impl.h"
#include "ggml-cpu.h"
#include "ggml.h"

namespace namm::llama {

/// One per context (ggml_backend_t). Without a store it belongs to a context that nobody attached to, and takes no node.
class Instance {
 public:
  std::unique_ptr<CacheStore> store;
  int threads = 1;
  std::string problem;  ///< why the context cannot be attached to, found while its graphs are reserved
  std::string failure;  ///< what went wrong while computing
};

Instance* instance_of_scope();

namespace {

const ggml_tensor* root(const ggml_tensor* tensor) {
  while (tensor->view_src) tensor = tensor->view_src;
  return tensor;
}

enum class CachePart { none, keys, values };

CachePart cache_part(const ggml_tensor* tensor) {
  if (!tensor) return CachePart::none;
  const char* const name = root(tensor)->name;
  if (std::strncmp(name, "cache_k_l", 9) == 0) return CachePart::keys;
  if (std::strncmp(name, "cache_v_l", 9) == 0) return CachePart::values;
  return CachePart::none;
}

int layer_of(const ggml_tensor* tensor) {
  return std::atoi(root(tensor)->name + 9);
}

/// Which cache tensors are ours. Filled while a scope is active, read by every scheduler of the process.
class Adopted {
 public:
  Instance* find(const ggml_tensor* tensor) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = owners_.find(root(tensor));
    return found == owners_.end() ? nullptr : found->second;
  }
  void add(const ggml_tensor* tensor, Instance* owner) {
    const std::lock_guard<std::mutex> lock(mutex_);
    owners_.emplace(root(tensor), owner);
  }
  void remove(const Instance* owner) {
    const std::lock_guard<std::mutex> lock(mutex_);
    std::erase_if(owners_, [&](const auto& entry) { return entry.second == owner; });
  }

 private:
  std::mutex mutex_;
  std::unordered_map<const ggml_tensor*, Instance*> owners_;
};

Adopted& adopted() {
  static Adopted all;
  return all;
}

std::mutex instances_mutex;
std::unordered_map<const CacheStore*, Instance*> instances;

thread_local AttachScope* active_scope = nullptr;

/// The instance that owns the cache tensor behind `tensor`; a tensor met for the first time goes to the scope that is active.
Instance* owner_of(const ggml_tensor* tensor) {
  if (Instance* const known = adopted().find(tensor)) return known;
  Instance* const fresh = active_scope ? instance_of_scope() : nullptr;
  if (fresh) adopted().add(tensor, fresh);
  return fresh;
}

float parameter(const ggml_tensor* node, int index) {
  float value;
  std::memcpy(&value, node->op_params + index, sizeof value);
  return value;
}

/// What this attention node has that the store cannot do; empty if nothing.
std::string obstacle(const ggml_tensor* node) {
  const ggml_tensor *k = node->src[1], *v = node->src[2], *mask = node->src[3];
  if (root(k)->type != GGML_TYPE_F16 || root(v)->type != GGML_TYPE_F16)
    return std::string("the KV cache must be of type f16, is ") + ggml_type_name(root(k)->type) + " and " +
           ggml_type_name(root(v)->type);
  if (cache_part(v) != CachePart::values) return "keys and values share one tensor (multi-head latent attention)";
  if (!mask || mask->type != GGML_TYPE_F16 || mask->ne[2] != 1) return "its attention mask is not one F16 mask for all heads";
  if (parameter(node, 1) != 0) return "it biases attention by position (ALiBi)";
  return {};
}

bool supports_attention(const ggml_tensor* node) {
  if (cache_part(node->src[1]) != CachePart::keys) return false;
  Instance* const owner = owner_of(node->src[1]);
  if (!owner) return false;
  if (std::string why = obstacle(node); !why.empty()) {
    owner->problem = std::move(why);
    return false;
  }
  const ggml_tensor *k = node->src[1], *v = node->src[2];
  owner->store->add_layer(
      root(k)->buffer,
      {layer_of(k), static_cast<int>(k->ne[2]), static_cast<std::size_t>(k->ne[0]), static_cast<std::size_t>(v->ne[0])},
      static_cast<std::size_t>(root(k)->ne[1]));
  return true;
}

bool supports_write(const ggml_tensor* node) {
  if (cache_part(node) == CachePart::none || node->src[0]->type != GGML_TYPE_F32 || node->src[1]->type != GGML_TYPE_I64)
    return false;
  return owner_of(node) != nullptr;
}

bool supports_op(ggml_backend_dev_t, const ggml_tensor* node) {
  switch (node->op) {
    case GGML_OP_NONE:
    case GGML_OP_RESHAPE:
    case GGML_OP_VIEW:
    case GGML_OP_PERMUTE:
    case GGML_OP_TRANSPOSE:
      return true;
    case GGML_OP_SET_ROWS:
      return supports_write(node);
    case GGML_OP_FLASH_ATTN_EXT:
      return supports_attention(node);
    default:
      // anything else that reads a cache of ours would read an empty tensor
      for (const ggml_tensor* source : node->src)
        if (cache_part(source) != CachePart::none)
          if (Instance* const owner = adopted().find(source))
            owner->problem = std::string("it reads the KV cache with ") + ggml_op_name(node->op) +
                             (node->op == GGML_OP_MUL_MAT ? "; enable flash attention" : "");
      return false;
  }
}

void write(Instance& instance, const ggml_tensor* node) {
  const ggml_tensor* const rows = node->src[0];
  const auto tokens = static_cast<std::size_t>(rows->ne[1]);
  const auto* const data = static_cast<const float*>(rows->data);
  const std::size_t stride = rows->nb[1] / sizeof(float);
  if (cache_part(node) == CachePart::keys)
    instance.store->write_keys(layer_of(node), data, stride, {static_cast<const std::int64_t*>(node->src[1]->data), tokens});
  else
    instance.store->write_values(layer_of(node), data, stride, tokens);
}

void attend(Instance& instance, ggml_tensor* node) {
  const ggml_tensor *q = node->src[0], *k = node->src[1], *mask = node->src[3], *sinks = node->src[4];
  AttentionCall call;
  call.queries = static_cast<const float*>(q->data);
  call.query_token_stride = q->nb[1] / sizeof(float);
  call.query_head_stride = q->nb[2] / sizeof(float);
  call.query_stream_stride = q->nb[3] / sizeof(float);
  call.output = static_cast<float*>(node->data);
  call.output_head_stride = node->nb[1] / sizeof(float);
  call.output_token_stride = node->nb[2] / sizeof(float);
  call.output_stream_stride = node->nb[3] / sizeof(float);
  call.query_heads = static_cast<int>(q->ne[2]);
  call.queries_per_stream = static_cast<int>(q->ne[1]);
  call.streams = static_cast<int>(k->ne[3]);
  const ggml_tensor* const cache = root(k);
  call.first_stream = static_cast<int>(k->view_offs / (cache->nb[1] * static_cast<std::size_t>(cache->ne[1])));
  for (int s = 0; s < call.streams; ++s)
    call.masks.push_back(
        {reinterpret_cast<const std::uint16_t*>(static_cast<const char*>(mask->data) + static_cast<std::size_t>(s) * mask->nb[3]),
         mask->nb[1] / sizeof(std::uint16_t), static_cast<std::size_t>(mask->ne[0])});
  call.scale = parameter(node, 0);
  call.softcap = parameter(node, 2);
  call.sinks = sinks ? static_cast<const float*>(sinks->data) : nullptr;
  call.threads = instance.threads;
  instance.store->attend(layer_of(k), call);
}

ggml_status graph_compute(ggml_backend_t backend, ggml_cgraph* graph) {
  auto& instance = *static_cast<Instance*>(backend->context);
  try {
    for (int i = 0; i < ggml_graph_n_nodes(graph); ++i) {
      ggml_tensor* const node = ggml_graph_node(graph, i);
      if (node->op == GGML_OP_SET_ROWS) write(instance, node);
      if (node->op == GGML_OP_FLASH_ATTN_EXT) attend(instance, node);
    }
  } catch (const std::exception& error) {  // the runtime is C: it gets a status, the words wait in take_failure()
    instance.failure = error.what();
    spdlog::error("{}", error.what());
    return GGML_STATUS_FAILED;
  }
  return GGML_STATUS_SUCCESS;
}

const char* backend_name(ggml_backend_t) {
  return "NAMM";
}

void backend_free(ggml_backend_t backend) {
  auto* const instance = static_cast<Instance*>(backend->context);
  adopted().remove(instance);
  {
    const std::lock_guard<std::mutex> lock(instances_mutex);
    instances.erase(instance->store.get());
  }
  delete instance;
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
  auto* const instance = active_scope ? instance_of_scope() : new Instance;
  ggml_backend_i interface {};
  interface.get_name = backend_name;
  interface.free = backend_free;
  interface.graph_compute = graph_compute;
  return new ggml_backend{guid(), interface, device, instance};
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
    d.iface.supports_op = supports_op;
    d.iface.supports_buft = supports_buffer_type;
    d.reg = registry;
    return d;
  }();
  return &device;
}

void* get_proc_address(ggml_backend_reg_t, const char* name) {
  return std::strcmp(name, "ggml_backend_set_n_threads") == 0 ? reinterpret_cast<void*>(&set_threads) : nullptr;
}

ggml_backend_reg_t registry() {
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

}  // namespace

/// The instance of the active scope, made when first asked for: by device_init, that is by the context's constructor.
Instance* instance_of_scope() {
  if (!active_scope->instance_) {
    active_scope->instance_ = new Instance;
    active_scope->instance_->store = std::make_unique<CacheStore>(active_scope->memory_);
    const std::lock_guard<std::mutex> lock(instances_mutex);
    instances.emplace(active_scope->instance_->store.get(), active_scope->instance_);
  }
  return active_scope->instance_;
}

AttachScope::AttachScope(Memory memory) : memory_(std::move(memory)) {
  static std::once_flag once;
  std::call_once(once, [] {
    ggml_backend_register(registry());
    clear_cpu_buffers_lazily();
  });
  active_scope = this;
}

AttachScope::~AttachScope() {
  active_scope = nullptr;
}

CacheStore& AttachScope::finish() {
  if (!instance_) throw std::runtime_error("model: no context was created to attach a memory to");
  if (!instance_->problem.empty()) throw std::runtime_error("model: a memory policy cannot be attached: " + instance_->problem);
  return *instance_->store;
}

std::string take_failure(const CacheStore& store) {
  const std::lock_guard<std::mutex> lock(instances_mutex);
  const auto found = instances.find(&store);
  return found == instances.end() ? std::string() : std::exchange(found->second->failure, {});
}

}  // namespace namm::llama
