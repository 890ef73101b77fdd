#pragma once
#include <llama.h>

#include <memory>
#include <stdexcept>
#include <string>

#include "adapters/llama_cpp/attachable.hpp"
#include "adapters/llama_cpp/store/cache_store.hpp"
#include "namm/cache_policy.hpp"

namespace namm::llama {

struct FreeContext {
  void operator()(llama_context* context) const { llama_free(context); }
};
using ContextPointer = std::unique_ptr<llama_context, FreeContext>;

/// A context with its cache in a store, which lives as long as the context.
struct StoredContext {
  ContextPointer context;
  CacheStore* store = nullptr;
};

/// "model NAME: llama.cpp cannot create a context: WHY".
class NoContext : public std::runtime_error {
 public:
  NoContext(const std::string& model, const std::string& why)
      : std::runtime_error("model " + model + ": llama.cpp cannot create a context: " + why) {}
};

/// Creates one: the only way in for code that is linked with llama.cpp. Flash attention is switched on. The cache is
/// where `params` says: in host memory, or with offload_kqv in that of the devices that the layers are on. `name` of the model is
/// for messages. Throws NoContext if llama.cpp fails, std::invalid_argument or std::runtime_error
/// that says why no policy, or not this one, attaches to the model.
StoredContext create_with_store(llama_model* model, llama_context_params params, const CachePolicy& policy,
                                const std::string& name);

/// What the loaded model tells beside the graphs of its context.
ModelTraits traits_of(const llama_model* model);

/// Name of the model in messages: its file's general.name, else its description.
std::string name_of(const llama_model* model);

}  // namespace namm::llama
