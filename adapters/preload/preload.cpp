// LD_PRELOADed in front of a program that uses llama.cpp: stands in for a few of its functions, loads the module with our ggml
// backend when the first context is created, and passes everything on. In any other process (a shell that starts the program) it
// does nothing.
#include <dlfcn.h>
#include <link.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "adapters/preload/hooks.hpp"

namespace {

using namm::preload::Hooks;
using namm::preload::Runtime;

/// An argument that llama.h passes by value, of a size we do not need to know: the calling conventions of x86-64 and AArch64 put
/// it on the stack (or a pointer to a copy there). What lies behind it on the caller's stack is copied along and never read.
struct Opaque {
  std::uint64_t words[64];
};

void* find(const char* name) {
  return dlsym(RTLD_NEXT, name);
}

template <class Function>
Function* real(const char* name) {
  void* const found = find(name);
  if (!found) {
    std::fprintf(stderr, "namm: llama.cpp: must have the function %s, has not; use another version of it\n", name);
    std::abort();
  }
  return reinterpret_cast<Function*>(found);
}

template <class Function>
Function* optional(const char* name) {
  return reinterpret_cast<Function*>(find(name));
}

#define REAL(name, ...)         \
  using Function = __VA_ARGS__; \
  static Function* const original = real<Function>(#name)

const Hooks* load_module() {
  const char* const path = std::getenv("NAMM_ATTACH_MODULE");
  if (!path) return nullptr;
  void* const module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!module) {
    std::fprintf(stderr, "namm: attach: the program's ggml must have what the backend needs, has not: %s\n", dlerror());
    return nullptr;
  }
  auto* const load = optional<void*(const char*)>("ggml_backend_load");
  if (!load || !load(path)) {
    std::fprintf(
        stderr,
        "namm: attach: the program's ggml must have the backend interface this build knows (version %d), refuses it; use the "
        "llama.cpp that namm was built with, or build namm against the program's\n",
        NAMM_GGML_BACKEND_API);
    return nullptr;
  }
  auto* const get = reinterpret_cast<const Hooks* (*)()>(dlsym(module, "namm_preload_hooks"));
  if (!get) return nullptr;
  const Hooks* const hooks = get();
  Runtime runtime;
  runtime.get_memory = real<void*(const void*)>("llama_get_memory");
  runtime.sequences = real<std::uint32_t(const void*)>("llama_n_seq_max");
  runtime.newest_position = real<std::int32_t(void*, std::int32_t)>("llama_memory_seq_pos_max");
  runtime.window = real<std::int32_t(const void*)>("llama_model_n_swa");
  runtime.rope_type = real<int(const void*)>("llama_model_rope_type");
  if (auto* const version = optional<const char*()>("llama_version")) runtime.llama_version = version();
  if (auto* const version = optional<const char*()>("ggml_version")) runtime.ggml_version = version();
  return hooks->start(runtime) ? hooks : nullptr;
}

/// Null before the first context, and for good if the module could not be started.
const Hooks* loaded = nullptr;
bool asked = false;  // a context was to be created

const Hooks* start() {
  asked = true;
  static const Hooks* const hooks = loaded = load_module();
  return hooks;
}

/// A program that loads llama.cpp by itself (ctypes in Python) calls it directly: then nothing was attached, and it must not look
/// as if.
__attribute__((destructor)) void tell_if_unseen() {
  if (asked || !std::getenv("NAMM_ATTACH_MODULE")) return;
  const auto is_llama = [](dl_phdr_info* info, std::size_t, void*) -> int {
    return info->dlpi_name && std::strstr(info->dlpi_name, "/libllama.so") ? 1 : 0;
  };
  if (dl_iterate_phdr(is_llama, nullptr))
    std::fputs(
        "namm: attach: the program must create its contexts in sight of the preloaded library, created none there; no policy was "
        "attached; use a program that is linked to llama.cpp\n",
        stderr);
}

bool ours(const void* memory) {
  return loaded && loaded->attached(memory);
}
bool ours_context(const void* context) {
  return loaded && loaded->attached_context(context);
}

void* create(void* (*original)(void*, Opaque), void* model, const Opaque& parameters) {
  static thread_local bool inside = false;  // the deprecated name calls the other one
  if (inside) return original(model, parameters);
  const Hooks* const hooks = start();
  if (!hooks) return nullptr;  // asked to attach and cannot: running on without the policy would be worse
  inside = true;
  hooks->creating();
  void* const context = original(model, parameters);
  inside = false;
  if (hooks->created(model, context)) return context;
  if (context) real<void(void*)>("llama_free")(context);
  return nullptr;
}

bool refuse_state(const void* context, const char* operation) {
  if (!ours_context(context)) return false;
  loaded->say(operation);
  return true;
}

constexpr const char* kSave =
    "llama.cpp: saving a state must be left off with a policy attached, was asked for; its cache tensors are empty, run without "
    "it";
constexpr const char* kLoad =
    "llama.cpp: loading a state must be left off with a policy attached, was asked for; the policy's cache would not know of it, "
    "run "
    "without it";

}  // namespace

#pragma GCC visibility push(default)
extern "C" {

void* llama_init_from_model(void* model, Opaque parameters) {
  REAL(llama_init_from_model, void*(void*, Opaque));
  return create(original, model, parameters);
}
void* llama_new_context_with_model(void* model, Opaque parameters) {
  REAL(llama_new_context_with_model, void*(void*, Opaque));
  return create(original, model, parameters);
}
void llama_free(void* context) {
  REAL(llama_free, void(void*));
  if (ours_context(context)) loaded->freeing(context);
  original(context);
}

std::int32_t llama_decode(void* context, Opaque batch) {
  REAL(llama_decode, std::int32_t(void*, Opaque));
  if (!ours_context(context)) return original(context, batch);
  loaded->before_batch(context);
  return loaded->after_batch(context, original(context, batch));
}
std::int32_t llama_process(void* context, int type, void* batch) {
  REAL(llama_process, std::int32_t(void*, int, void*));
  if (!ours_context(context)) return original(context, type, batch);
  loaded->before_batch(context);
  return loaded->after_batch(context, original(context, type, batch));
}

void llama_memory_clear(void* memory, bool data) {
  REAL(llama_memory_clear, void(void*, bool));
  original(memory, data);
  if (ours(memory)) loaded->cleared(memory);
}
bool llama_memory_seq_rm(void* memory, std::int32_t sequence, std::int32_t from, std::int32_t to) {
  REAL(llama_memory_seq_rm, bool(void*, std::int32_t, std::int32_t, std::int32_t));
  if (!ours(memory)) return original(memory, sequence, from, to);
  static auto* const newest = real<std::int32_t(void*, std::int32_t)>("llama_memory_seq_pos_max");
  const bool to_the_end = to < 0 || (sequence >= 0 && to > newest(memory, sequence));
  if (!to_the_end) return false;  // a hole in the middle: the positions behind it could not be followed
  const bool done = original(memory, sequence, from, to);
  if (done && from <= 0) {
    if (sequence < 0)
      loaded->cleared(memory);
    else
      loaded->removed(memory, sequence);
  }
  return done;  // a cut end is released with the sequence's next batch, whose mask shows it
}
void llama_memory_seq_cp(void* memory, std::int32_t source, std::int32_t target, std::int32_t from, std::int32_t to) {
  REAL(llama_memory_seq_cp, void(void*, std::int32_t, std::int32_t, std::int32_t, std::int32_t));
  if (ours(memory) && !loaded->copying(memory)) return;
  original(memory, source, target, from, to);
}
void llama_memory_seq_keep(void* memory, std::int32_t sequence) {
  REAL(llama_memory_seq_keep, void(void*, std::int32_t));
  original(memory, sequence);
  if (ours(memory)) loaded->kept_only(memory, sequence);
}
void llama_memory_seq_add(void* memory, std::int32_t sequence, std::int32_t from, std::int32_t to, std::int32_t delta) {
  REAL(llama_memory_seq_add, void(void*, std::int32_t, std::int32_t, std::int32_t, std::int32_t));
  if (!ours(memory)) return original(memory, sequence, from, to, delta);
  if (delta != 0) loaded->refused(memory, "moving positions (llama_memory_seq_add, a context shift)");
}
void llama_memory_seq_div(void* memory, std::int32_t sequence, std::int32_t from, std::int32_t to, int divisor) {
  REAL(llama_memory_seq_div, void(void*, std::int32_t, std::int32_t, std::int32_t, int));
  if (!ours(memory)) return original(memory, sequence, from, to, divisor);
  if (divisor != 1) loaded->refused(memory, "dividing positions (llama_memory_seq_div, self-extend)");
}
std::int32_t llama_memory_seq_pos_min(void* memory, std::int32_t sequence) {
  REAL(llama_memory_seq_pos_min, std::int32_t(void*, std::int32_t));
  const std::int32_t position = original(memory, sequence);
  return ours(memory) ? loaded->oldest_position(memory, sequence, position) : position;
}
bool llama_memory_can_shift(void* memory) {
  REAL(llama_memory_can_shift, bool(void*));
  return !ours(memory) && original(memory);
}

// States: the cache tensors they are made of are empty.
std::size_t llama_state_get_size(void* context) {
  REAL(llama_state_get_size, std::size_t(void*));
  return refuse_state(context, kSave) ? 0 : original(context);
}
std::size_t llama_state_get_data(void* context, std::uint8_t* to, std::size_t size) {
  REAL(llama_state_get_data, std::size_t(void*, std::uint8_t*, std::size_t));
  return refuse_state(context, kSave) ? 0 : original(context, to, size);
}
std::size_t llama_state_set_data(void* context, const std::uint8_t* from, std::size_t size) {
  REAL(llama_state_set_data, std::size_t(void*, const std::uint8_t*, std::size_t));
  return refuse_state(context, kLoad) ? 0 : original(context, from, size);
}
bool llama_state_load_file(void* context, const char* path, std::int32_t* tokens, std::size_t capacity, std::size_t* count) {
  REAL(llama_state_load_file, bool(void*, const char*, std::int32_t*, std::size_t, std::size_t*));
  return !refuse_state(context, kLoad) && original(context, path, tokens, capacity, count);
}
bool llama_state_save_file(void* context, const char* path, const std::int32_t* tokens, std::size_t count) {
  REAL(llama_state_save_file, bool(void*, const char*, const std::int32_t*, std::size_t));
  return !refuse_state(context, kSave) && original(context, path, tokens, count);
}
std::size_t llama_state_seq_get_size(void* context, std::int32_t sequence) {
  REAL(llama_state_seq_get_size, std::size_t(void*, std::int32_t));
  return refuse_state(context, kSave) ? 0 : original(context, sequence);
}
std::size_t llama_state_seq_get_data(void* context, std::uint8_t* to, std::size_t size, std::int32_t sequence) {
  REAL(llama_state_seq_get_data, std::size_t(void*, std::uint8_t*, std::size_t, std::int32_t));
  return refuse_state(context, kSave) ? 0 : original(context, to, size, sequence);
}
std::size_t llama_state_seq_set_data(void* context, const std::uint8_t* from, std::size_t size, std::int32_t sequence) {
  REAL(llama_state_seq_set_data, std::size_t(void*, const std::uint8_t*, std::size_t, std::int32_t));
  return refuse_state(context, kLoad) ? 0 : original(context, from, size, sequence);
}
std::size_t llama_state_seq_save_file(void* context, const char* path, std::int32_t sequence, const std::int32_t* tokens,
                                      std::size_t count) {
  REAL(llama_state_seq_save_file, std::size_t(void*, const char*, std::int32_t, const std::int32_t*, std::size_t));
  return refuse_state(context, kSave) ? 0 : original(context, path, sequence, tokens, count);
}
std::size_t llama_state_seq_load_file(void* context, const char* path, std::int32_t sequence, std::int32_t* tokens,
                                      std::size_t capacity, std::size_t* count) {
  REAL(llama_state_seq_load_file, std::size_t(void*, const char*, std::int32_t, std::int32_t*, std::size_t, std::size_t*));
  return refuse_state(context, kLoad) ? 0 : original(context, path, sequence, tokens, capacity, count);
}
std::size_t llama_state_seq_get_size_ext(void* context, std::int32_t sequence, std::uint32_t flags) {
  REAL(llama_state_seq_get_size_ext, std::size_t(void*, std::int32_t, std::uint32_t));
  return refuse_state(context, kSave) ? 0 : original(context, sequence, flags);
}
std::size_t llama_state_seq_get_data_ext(void* context, std::uint8_t* to, std::size_t size, std::int32_t sequence,
                                         std::uint32_t flags) {
  REAL(llama_state_seq_get_data_ext, std::size_t(void*, std::uint8_t*, std::size_t, std::int32_t, std::uint32_t));
  return refuse_state(context, kSave) ? 0 : original(context, to, size, sequence, flags);
}
std::size_t llama_state_seq_set_data_ext(void* context, const std::uint8_t* from, std::size_t size, std::int32_t sequence,
                                         std::uint32_t flags) {
  REAL(llama_state_seq_set_data_ext, std::size_t(void*, const std::uint8_t*, std::size_t, std::int32_t, std::uint32_t));
  return refuse_state(context, kLoad) ? 0 : original(context, from, size, sequence, flags);
}

}  // extern "C"
#pragma GCC visibility pop
