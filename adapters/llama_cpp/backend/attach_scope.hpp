#pragma once
#include <memory>
#include <string>

#include "adapters/llama_cpp/attachable.hpp"
#include "adapters/llama_cpp/store/cache_store.hpp"

namespace namm::llama {

class Instance;

/// What the graphs of a context do not tell.
struct ContextFacts {
  std::string model;      ///< name for messages; may be empty
  ModelTraits traits;     ///< what is known of it beside the layers of the cache
  int window_tokens = 0;  ///< of sliding-window layers (llama_model_n_swa); 0 = none
};

/// Registers our ggml backend (once per process) and hands the KV cache of the context that is created while the scope lives, on
/// this thread, to a store of ours. Contexts created outside a scope are left alone.
///
///     AttachScope scope(memory);
///     llama_context* context = llama_init_from_model(model, params);   // flash attention enabled, F16 cache
///     CacheStore& store = scope.finish(facts);                         // throws if the context cannot be attached to
class AttachScope {
 public:
  /// Throws std::runtime_error if the ggml of this process has another layout than the one that this was compiled with.
  explicit AttachScope(CachePolicy memory);
  ~AttachScope();
  AttachScope(const AttachScope&) = delete;
  AttachScope& operator=(const AttachScope&) = delete;

  /// The store of the context just created; it lives as long as the context. Throws std::runtime_error that says what the model
  /// has or lacks that no policy can be attached to, std::invalid_argument if it is this policy that does not fit.
  CacheStore& finish(const ContextFacts& facts);

 private:
  friend Instance* instance_of_scope();
  CachePolicy memory_;
  Instance* instance_ = nullptr;
};

/// What went wrong in the store during the last decode of the context that owns `store`; empty if nothing did.
std::string take_failure(const CacheStore& store);

}  // namespace namm::llama
