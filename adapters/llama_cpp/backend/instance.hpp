#pragma once
#include <memory>
#include <string>

#include "adapters/llama_cpp/backend/plain_keys.hpp"
#include "adapters/llama_cpp/store/cache_store.hpp"

struct ggml_tensor;

namespace namm::llama {

class DeviceCache;

/// One per context (ggml_backend_t). Without a store it belongs to a context that nobody attached to, and takes no node.
class Instance {
 public:
  std::shared_ptr<DeviceCache> device;  ///< if the runtime's cache is in device memory: it then holds what the store knows
  std::unique_ptr<CacheStore> store;    ///< goes first
  PlainKeys plain_keys, plain_queries;
  int threads = 1;
  std::string problem;         ///< why the context cannot be attached to, found while its graphs are reserved
  std::string failure;         ///< what went wrong while computing
  bool graph_unknown = false;  ///< memory was refused while its newest graph was looked at: it is not computed

  /// In words for take_failure(); for functions that C calls.
  void fail(const char* what) noexcept;
  /// True, and failed, once after memory was refused.
  bool graph_refused() noexcept;
};

/// The instance for a context under construction on this thread: that of the active scope, else a new one without a store.
Instance* make_instance();
inline constexpr const char* kNoException = "policy: threw something that is no std::exception";

/// Whether a context to attach to is created on this thread.
bool is_creating();
/// That of the scope that is active on this thread; null if none is.
Instance* scoped_instance();
/// Forgets the instance and the tensors it owns, and deletes it.
void destroy_instance(Instance* instance);

/// The instance that owns a cache tensor (the root of its views), or null.
Instance* owner_of(const ggml_tensor* cache);
/// The same; a tensor met for the first time goes to the scope that is active on this thread, if any.
Instance* adopt(const ggml_tensor* cache);

/// The store's name for the cache that a tensor of the instance in host memory belongs to: other layers of it may be on a device.
const void* group_of_host(const Instance& instance, const ggml_tensor* cache);

/// The instance's, made when first asked for.
DeviceCache& device_cache_of(Instance& instance);
/// Whether the instance's context computes on a device that is hooked (device/hooks.hpp).
bool has_device_backend(const Instance& instance);
/// The instance goes: its backends compute as if nobody had been attached.
void leave_device_backends(const Instance& instance);

}  // namespace namm::llama
