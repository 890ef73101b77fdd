// Loads llama.cpp for itself, as Python's ctypes does, and knows its functions by name alone:
//   loading_program LIBRARY MODEL COUNT    evaluates COUNT tokens in chunks of 32, prints how far the sequence can be cut, then
//   the logits
#include <dlfcn.h>
#include <llama.h>

#include <cstdio>
#include <cstdlib>

namespace {

void* library = nullptr;

template <class Function>
Function* named(const char* name) {
  void* const found = dlsym(library, name);
  if (!found) std::exit(3);
  return reinterpret_cast<Function*>(found);
}
#define LLAMA(name) named<decltype(::name)>(#name)

}  // namespace

int main(int, char** arguments) {
  library = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
  if (!library) return 2;
  LLAMA(llama_log_set)([](ggml_log_level, const char*, void*) {}, nullptr);
  LLAMA(llama_backend_init)();
  llama_model_params model_params = LLAMA(llama_model_default_params)();
  model_params.n_gpu_layers = 0;
  llama_model* const model = LLAMA(llama_model_load_from_file)(arguments[2], model_params);
  llama_context_params params = LLAMA(llama_context_default_params)();
  params.n_ctx = 1024;
  params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_ENABLED;
  params.n_threads = params.n_threads_batch = 1;
  llama_context* const context = LLAMA(llama_init_from_model)(model, params);
  if (!context) return 4;
  const int vocabulary = LLAMA(llama_vocab_n_tokens)(LLAMA(llama_model_get_vocab)(model)), count = std::atoi(arguments[3]);
  for (int at = 0; at < count; at += 32) {
    llama_token tokens[32];
    int size = 0;
    for (; size < 32 && at + size < count; ++size) tokens[size] = (at + size) * 7 % vocabulary;
    if (LLAMA(llama_decode)(context, LLAMA(llama_batch_get_one)(tokens, size)) != 0) return 5;
  }
  std::printf("%d\n", LLAMA(llama_memory_seq_pos_min)(LLAMA(llama_get_memory)(context), 0));
  for (int i = 0; i < vocabulary; ++i)
    std::printf("%s%.7g", i ? " " : "", static_cast<double>(LLAMA(llama_get_logits_ith)(context, -1)[i]));
  std::puts("");
  LLAMA(llama_free)(context);
  LLAMA(llama_model_free)(model);
}
