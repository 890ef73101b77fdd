#pragma once
#include <memory>
#include <string>

#include "adapters/llama_cpp/backend/plain_keys.hpp"
#include "adapters/llama_cpp/store/cache_store.hpp"

struct ggml_tensor;

namespace namm::llama {

/// One per context (ggml_backend_t). Without a store it belongs to a context that nobody attached to, and takes no node.
class Instance {
 public:
  std::unique_ptr<CacheStore> store;
  PlainKeys plain_keys, plain_queries;
  int threads = 1;
  std::string problem;  ///< why the context cannot be attached to, found while its graphs are reserved
  std::string failure;  ///< what went wrong while computing
};

/// The instance for a context under construction on this thread: that of the active scope, else a new one without a store.
Instance* make_instance();
/// Forgets the instance and the tensors it owns, and deletes it.
void destroy_instance(Instance* instance);

/// The instance that owns a cache tensor (the root of its views), or null.
Instance* owner_of(const ggml_tensor* cache);
/// The same; a tensor met for the first time goes to the scope that is active on this thread, if any.
Instance* adopt(const ggml_tensor* cache);

}  // namespace namm::llama
