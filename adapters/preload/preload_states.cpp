// Saved states: the cache tensors they are made of are empty, the module has what belongs there. llama.cpp's own functions call
// each other by these names, so none of ours goes through another one of theirs.
#include "adapters/preload/originals.hpp"

using namespace namm::preload;

#pragma GCC visibility push(default)
extern "C" {

std::size_t llama_state_get_size(void* context) {
  NAMM_REAL(llama_state_get_size, std::size_t(void*));
  return ours_context(context) ? loaded->state_size(context, -1, 0) : original(context);
}
std::size_t llama_state_get_data(void* context, std::uint8_t* to, std::size_t size) {
  NAMM_REAL(llama_state_get_data, std::size_t(void*, std::uint8_t*, std::size_t));
  return ours_context(context) ? loaded->save_state(context, -1, 0, to, size) : original(context, to, size);
}
std::size_t llama_state_set_data(void* context, const std::uint8_t* from, std::size_t size) {
  NAMM_REAL(llama_state_set_data, std::size_t(void*, const std::uint8_t*, std::size_t));
  return ours_context(context) ? loaded->load_state(context, -1, 0, from, size) : original(context, from, size);
}
bool llama_state_load_file(void* context, const char* path, std::int32_t* tokens, std::size_t capacity, std::size_t* count) {
  NAMM_REAL(llama_state_load_file, bool(void*, const char*, std::int32_t*, std::size_t, std::size_t*));
  return ours_context(context) ? loaded->load_session(context, -1, path, tokens, capacity, count) > 0
                               : original(context, path, tokens, capacity, count);
}
bool llama_state_save_file(void* context, const char* path, const std::int32_t* tokens, std::size_t count) {
  NAMM_REAL(llama_state_save_file, bool(void*, const char*, const std::int32_t*, std::size_t));
  return ours_context(context) ? loaded->save_session(context, -1, path, tokens, count) > 0
                               : original(context, path, tokens, count);
}
std::size_t llama_state_seq_get_size(void* context, std::int32_t sequence) {
  NAMM_REAL(llama_state_seq_get_size, std::size_t(void*, std::int32_t));
  return ours_context(context) ? loaded->state_size(context, sequence, 0) : original(context, sequence);
}
std::size_t llama_state_seq_get_data(void* context, std::uint8_t* to, std::size_t size, std::int32_t sequence) {
  NAMM_REAL(llama_state_seq_get_data, std::size_t(void*, std::uint8_t*, std::size_t, std::int32_t));
  return ours_context(context) ? loaded->save_state(context, sequence, 0, to, size) : original(context, to, size, sequence);
}
std::size_t llama_state_seq_set_data(void* context, const std::uint8_t* from, std::size_t size, std::int32_t sequence) {
  NAMM_REAL(llama_state_seq_set_data, std::size_t(void*, const std::uint8_t*, std::size_t, std::int32_t));
  return ours_context(context) ? loaded->load_state(context, sequence, 0, from, size) : original(context, from, size, sequence);
}
std::size_t llama_state_seq_save_file(void* context, const char* path, std::int32_t sequence, const std::int32_t* tokens,
                                      std::size_t count) {
  NAMM_REAL(llama_state_seq_save_file, std::size_t(void*, const char*, std::int32_t, const std::int32_t*, std::size_t));
  return ours_context(context) ? loaded->save_session(context, sequence, path, tokens, count)
                               : original(context, path, sequence, tokens, count);
}
std::size_t llama_state_seq_load_file(void* context, const char* path, std::int32_t sequence, std::int32_t* tokens,
                                      std::size_t capacity, std::size_t* count) {
  NAMM_REAL(llama_state_seq_load_file, std::size_t(void*, const char*, std::int32_t, std::int32_t*, std::size_t, std::size_t*));
  return ours_context(context) ? loaded->load_session(context, sequence, path, tokens, capacity, count)
                               : original(context, path, sequence, tokens, capacity, count);
}
std::size_t llama_state_seq_get_size_ext(void* context, std::int32_t sequence, std::uint32_t flags) {
  NAMM_REAL(llama_state_seq_get_size_ext, std::size_t(void*, std::int32_t, std::uint32_t));
  return ours_context(context) ? loaded->state_size(context, sequence, flags) : original(context, sequence, flags);
}
std::size_t llama_state_seq_get_data_ext(void* context, std::uint8_t* to, std::size_t size, std::int32_t sequence,
                                         std::uint32_t flags) {
  NAMM_REAL(llama_state_seq_get_data_ext, std::size_t(void*, std::uint8_t*, std::size_t, std::int32_t, std::uint32_t));
  return ours_context(context) ? loaded->save_state(context, sequence, flags, to, size)
                               : original(context, to, size, sequence, flags);
}
std::size_t llama_state_seq_set_data_ext(void* context, const std::uint8_t* from, std::size_t size, std::int32_t sequence,
                                         std::uint32_t flags) {
  NAMM_REAL(llama_state_seq_set_data_ext, std::size_t(void*, const std::uint8_t*, std::size_t, std::int32_t, std::uint32_t));
  return ours_context(context) ? loaded->load_state(context, sequence, flags, from, size)
                               : original(context, from, size, sequence, flags);
}

}  // extern "C"
#pragma GCC visibility pop
