// LD_PRELOADed in front of a program that uses llama.cpp: stands in for a few of its functions, loads the module with our ggml
// backend when the first context is created, and passes everything on. In any other process (a shell that starts the program) it
// does nothing.
#include <dlfcn.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "adapters/preload/originals.hpp"

namespace namm::preload {

const Hooks* loaded = nullptr;

namespace {

const Hooks* load_module() {
  const char* const path = std::getenv("NAMM_ATTACH_MODULE");
  if (!path) return nullptr;
  offer_names();
  void* const module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!module) {
    std::fprintf(stderr, "namm: attach: the program's ggml lacks symbols that the backend needs: %s\n", dlerror());
    return nullptr;
  }
  auto* const problem = reinterpret_cast<const char* (*)()>(dlsym(module, "namm_layout_problem"));
  if (const char* const what = problem ? problem() : "no check of it") {
    std::fprintf(
        stderr,
        "namm: attach: the program's ggml must have the layout of the one that namm was built with, has another (%s); use the "
        "llama.cpp that namm was built with, or build namm against the program's\n",
        what);
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
  runtime.hybrid = real<bool(const void*)>("llama_model_is_hybrid");
  runtime.remove = real<bool(void*, std::int32_t, std::int32_t, std::int32_t)>("llama_memory_seq_rm");
  runtime.clear = real<void(void*, bool)>("llama_memory_clear");
  runtime.state_size = real<std::size_t(void*)>("llama_state_get_size");
  runtime.get_state = real<std::size_t(void*, std::uint8_t*, std::size_t)>("llama_state_get_data");
  runtime.set_state = real<std::size_t(void*, const std::uint8_t*, std::size_t)>("llama_state_set_data");
  runtime.sequence_state_size = real<std::size_t(void*, std::int32_t, std::uint32_t)>("llama_state_seq_get_size_ext");
  runtime.get_sequence_state =
      real<std::size_t(void*, std::uint8_t*, std::size_t, std::int32_t, std::uint32_t)>("llama_state_seq_get_data_ext");
  runtime.set_sequence_state =
      real<std::size_t(void*, const std::uint8_t*, std::size_t, std::int32_t, std::uint32_t)>("llama_state_seq_set_data_ext");
  if (auto* const version = optional<const char*()>("llama_version")) runtime.llama_version = version();
  if (auto* const version = optional<const char*()>("ggml_version")) runtime.ggml_version = version();
  return hooks->start(runtime) ? hooks : nullptr;
}

const Hooks* start() {
  static const Hooks* const hooks = loaded = load_module();
  return hooks;
}

void* create(void* (*original)(void*, Opaque), void* model, const Opaque& parameters) {
  static thread_local bool inside = false;  // the deprecated name calls the other one
  if (inside) return original(model, parameters);
  tell_attached();
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

/// What llama_decode() returns where its abort callback ended it.
constexpr std::int32_t kAborted = 2;

}  // namespace
}  // namespace namm::preload

using namespace namm::preload;

#pragma GCC visibility push(default)
extern "C" {

void* llama_init_from_model(void* model, Opaque parameters) {
  NAMM_REAL(llama_init_from_model, void*(void*, Opaque));
  return create(original, model, parameters);
}
void* llama_new_context_with_model(void* model, Opaque parameters) {
  NAMM_REAL(llama_new_context_with_model, void*(void*, Opaque));
  return create(original, model, parameters);
}
void llama_free(void* context) {
  NAMM_REAL(llama_free, void(void*));
  if (ours_context(context)) loaded->freeing(context);
  original(context);
}

std::int32_t llama_decode(void* context, Opaque batch) {
  NAMM_REAL(llama_decode, std::int32_t(void*, Opaque));
  if (!ours_context(context)) return original(context, batch);
  if (!loaded->before_batch(context)) return kAborted;
  return loaded->after_batch(context, original(context, batch));
}
std::int32_t llama_process(void* context, int type, void* batch) {
  NAMM_REAL(llama_process, std::int32_t(void*, int, void*));
  if (!ours_context(context)) return original(context, type, batch);
  if (!loaded->before_batch(context)) return kAborted;
  return loaded->after_batch(context, original(context, type, batch));
}

// What is sampled from tells a prompt from what is generated.
float* llama_get_logits(void* context) {
  NAMM_REAL(llama_get_logits, float*(void*));
  if (ours_context(context)) loaded->output_read(context, -1);
  return original(context);
}
float* llama_get_logits_ith(void* context, std::int32_t index) {
  NAMM_REAL(llama_get_logits_ith, float*(void*, std::int32_t));
  if (ours_context(context)) loaded->output_read(context, index);
  return original(context, index);
}
std::int32_t llama_get_sampled_token_ith(void* context, std::int32_t index) {
  NAMM_REAL(llama_get_sampled_token_ith, std::int32_t(void*, std::int32_t));
  if (ours_context(context)) loaded->output_read(context, index);
  return original(context, index);
}

void llama_memory_clear(void* memory, bool data) {
  NAMM_REAL(llama_memory_clear, void(void*, bool));
  original(memory, data);
  if (ours(memory)) loaded->cleared(memory);
}
bool llama_memory_seq_rm(void* memory, std::int32_t sequence, std::int32_t from, std::int32_t to) {
  NAMM_REAL(llama_memory_seq_rm, bool(void*, std::int32_t, std::int32_t, std::int32_t));
  if (!ours(memory)) return original(memory, sequence, from, to);
  static auto* const newest = real<std::int32_t(void*, std::int32_t)>("llama_memory_seq_pos_max");
  const bool to_the_end = to < 0 || (sequence >= 0 && to > newest(memory, sequence));
  if (!to_the_end) return false;  // a hole in the middle: the positions behind it could not be followed
  if (from > 0 && !loaded->cutting(memory, sequence, from)) return false;  // or it fails with the next batch
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
  NAMM_REAL(llama_memory_seq_cp, void(void*, std::int32_t, std::int32_t, std::int32_t, std::int32_t));
  if (ours(memory) && !loaded->copying(memory, source, target, to)) return;
  original(memory, source, target, from, to);
}
void llama_memory_seq_keep(void* memory, std::int32_t sequence) {
  NAMM_REAL(llama_memory_seq_keep, void(void*, std::int32_t));
  original(memory, sequence);
  if (ours(memory)) loaded->kept_only(memory, sequence);
}
void llama_memory_seq_add(void* memory, std::int32_t sequence, std::int32_t from, std::int32_t to, std::int32_t delta) {
  NAMM_REAL(llama_memory_seq_add, void(void*, std::int32_t, std::int32_t, std::int32_t, std::int32_t));
  if (!ours(memory)) return original(memory, sequence, from, to, delta);
  if (delta != 0) loaded->refused(memory, sequence, "moving positions (llama_memory_seq_add, a context shift)");
}
void llama_memory_seq_div(void* memory, std::int32_t sequence, std::int32_t from, std::int32_t to, int divisor) {
  NAMM_REAL(llama_memory_seq_div, void(void*, std::int32_t, std::int32_t, std::int32_t, int));
  if (!ours(memory)) return original(memory, sequence, from, to, divisor);
  if (divisor != 1) loaded->refused(memory, sequence, "dividing positions (llama_memory_seq_div, self-extend)");
}
std::int32_t llama_memory_seq_pos_min(void* memory, std::int32_t sequence) {
  NAMM_REAL(llama_memory_seq_pos_min, std::int32_t(void*, std::int32_t));
  const std::int32_t position = original(memory, sequence);
  return ours(memory) ? loaded->oldest_position(memory, sequence, position) : position;
}
bool llama_memory_can_shift(void* memory) {
  NAMM_REAL(llama_memory_can_shift, bool(void*));
  return !ours(memory) && original(memory);
}

}  // extern "C"
#pragma GCC visibility pop
