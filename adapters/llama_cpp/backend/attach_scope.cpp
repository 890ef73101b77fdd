#include "adapters/llama_cpp/backend/attach_scope.hpp"

#include <ggml-backend.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <mutex>
#include <stdexcept>
#include <unordered_map>
#include <utility>

#include "adapters/llama_cpp/backend/backend.hpp"
#include "adapters/llama_cpp/backend/instance.hpp"
#include "adapters/llama_cpp/backend/lazy_clear.hpp"
#include "adapters/llama_cpp/backend/row_trace.hpp"
#include "adapters/llama_cpp/device/device_cache.hpp"
#include "adapters/llama_cpp/device/hooks.hpp"
#include "adapters/llama_cpp/version/layout_check.hpp"

namespace namm::llama {
namespace {

std::mutex mutex;  // guards the two maps, which are never destroyed: threads of the program may still evaluate while it exits
auto& owners = *new std::unordered_map<const ggml_tensor*, Instance*>;  // our cache tensors; every scheduler of the process asks
auto& by_store = *new std::unordered_map<const CacheStore*, Instance*>;

thread_local AttachScope* active_scope = nullptr;

/// True if caches can be on a device.
bool has_other_memory() {
  for (std::size_t i = 0; i < ggml_backend_dev_count(); ++i) {
    const auto type = ggml_backend_dev_type(ggml_backend_dev_get(i));
    if (type != GGML_BACKEND_DEVICE_TYPE_CPU && type != GGML_BACKEND_DEVICE_TYPE_ACCEL) return true;
  }
  return false;
}

}  // namespace

/// The instance of the active scope, made when first asked for: by make_instance, that is by the context's constructor.
Instance* instance_of_scope() {
  if (!active_scope->instance_) {
    active_scope->instance_ = new Instance;
    active_scope->instance_->store = std::make_unique<CacheStore>(active_scope->memory_);
    const std::lock_guard<std::mutex> lock(mutex);
    by_store.emplace(active_scope->instance_->store.get(), active_scope->instance_);
  }
  return active_scope->instance_;
}

Instance* make_instance() {
  return active_scope ? instance_of_scope() : new Instance;
}

bool is_creating() {
  return active_scope != nullptr;
}

void Instance::fail(const char* what) noexcept {
  try {
    failure = what;
    spdlog::error("{}", what);
  } catch (...) {  // memory is refused for the words, too
    failure.clear();
  }
}

bool Instance::graph_refused() noexcept {
  if (!std::exchange(graph_unknown, false)) return false;
  fail("KV cache: memory was refused while a batch was prepared; it can be read again");
  return true;
}

Instance* scoped_instance() {
  return active_scope ? instance_of_scope() : nullptr;
}

void destroy_instance(Instance* instance) {
  leave_device_backends(*instance);
  {
    const std::lock_guard<std::mutex> lock(mutex);
    std::erase_if(owners, [&](const auto& entry) { return entry.second == instance; });
    by_store.erase(instance->store.get());
  }
  delete instance;
}

Instance* owner_of(const ggml_tensor* cache) {
  const std::lock_guard<std::mutex> lock(mutex);
  const auto found = owners.find(cache);
  return found == owners.end() ? nullptr : found->second;
}

const void* group_of_host(const Instance& instance, const ggml_tensor* cache) {
  return instance.device ? instance.device->group_of(cache->buffer) : cache->buffer;
}

Instance* adopt(const ggml_tensor* cache) {
  if (Instance* const known = owner_of(cache)) return known;
  if (!active_scope || (cache->buffer && !ggml_backend_buffer_is_host(cache->buffer))) return nullptr;
  Instance* const instance = instance_of_scope();
  const std::lock_guard<std::mutex> lock(mutex);
  owners.emplace(cache, instance);
  watch_rows(cache);
  return instance;
}

AttachScope::AttachScope(CachePolicy memory) : memory_(std::move(memory)) {
  static std::once_flag once;
  std::call_once(once, [] {
    if (const std::string problem = layout_problem(); !problem.empty())
      throw std::runtime_error("llama.cpp: its ggml must have the layout of the one that namm was built with, has another (" +
                               problem + "); run with the llama.cpp that namm was built with, or build namm against this one");
    if (!ggml_backend_reg_by_name("NAMM")) ggml_backend_register(backend_registry());  // ggml_backend_load has done it elsewhere
    clear_cpu_buffers_lazily();
  });
  hook_devices();
  active_scope = this;
}

AttachScope::~AttachScope() {
  active_scope = nullptr;
}

CacheStore& AttachScope::finish(const ContextFacts& facts) {
  if (!instance_)
    throw std::runtime_error(
        "model: must have weights and a KV cache to attach a policy to, no cache was made; was it loaded with vocab_only?");
  CacheStore& store = *instance_->store;
  store.expect(facts.window_tokens, true);
  ModelTraits traits = facts.traits;
  const std::vector<LayerDescription> cached = store.layers();
  traits.layers = std::max<std::int64_t>(traits.layers, 1);  // of a loaded model there are some
  traits.cached = static_cast<std::int64_t>(cached.size());
  if (!instance_->problem.empty()) refuse_model(facts.model, instance_->problem);
  if (instance_->device) {
    if (const std::string why = instance_->device->obstacle(memory_, facts.window_tokens); !why.empty())
      throw std::invalid_argument(why);
  } else if (cached.empty() && has_device_backend(*instance_)) {
    refuse_model(facts.model,
                 "its KV cache is neither in host memory nor in that of one device for each layer (--split-mode tensor, or a "
                 "kind of cache that is not known); use --split-mode layer, or keep the cache in host memory (--no-kv-offload)");
  } else if (cached.empty() && has_other_memory()) {
    ModelTraits elsewhere = traits;
    elsewhere.cached = traits.layers;
    if (why_not_attachable(elsewhere).empty())
      refuse_model(facts.model,
                   "its KV cache must be in host memory, is on another device; keep it there with -nkvo "
                   "(llama_context_params::offload_kqv = false)");
  }
  require_attachable(facts.model, traits);
  require_policy_fits(memory_, cached);
  // before the first batch, and before anything is said of an attachment
  for (const auto& [reads, keys] :
       {std::pair{store.reads_content(), &instance_->plain_keys}, std::pair{store.reads_queries(), &instance_->plain_queries}})
    if (const std::string why = keys->why_not(); reads && !why.empty())
      throw std::invalid_argument("model " + facts.model + ": a policy that reads keys cannot be attached: " + why);
  return store;
}

std::string take_failure(const CacheStore& store) {
  const std::lock_guard<std::mutex> lock(mutex);
  const auto found = by_store.find(&store);
  return found == by_store.end() ? std::string() : std::exchange(found->second->failure, {});
}

}  // namespace namm::llama
