#pragma once
#include <memory>
#include <string>

#include "adapters/llama_cpp/store/cache_store.hpp"
#include "host/host.hpp"

namespace namm::llama {

class Instance;

/// Registers our ggml backend (once per process) and hands the KV cache of the context that is created while the scope lives, on
/// this thread, to a store of ours. Contexts created outside a scope are left alone.
///
///     AttachScope scope(memory);
///     llama_context* context = llama_init_from_model(model, params);   // flash attention enabled, F16 cache
///     CacheStore& store = scope.finish();                              // throws if the context cannot be attached to
class AttachScope {
 public:
  explicit AttachScope(CachePolicy memory);
  ~AttachScope();
  AttachScope(const AttachScope&) = delete;
  AttachScope& operator=(const AttachScope&) = delete;

  /// The store of the context just created; it lives as long as the context. Throws std::runtime_error that says what the context
  /// does that a memory cannot be attached to.
  CacheStore& finish();

 private:
  friend Instance* instance_of_scope();
  CachePolicy memory_;
  Instance* instance_ = nullptr;
};

/// What went wrong in the store during the last decode of the context that owns `store`; empty if nothing did.
std::string take_failure(const CacheStore& store);

}  // namespace namm::llama
