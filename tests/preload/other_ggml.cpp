// Loaded in front of ggml: one whose layout differs as later versions' have, with the same version of the backend interface.
#include <dlfcn.h>
#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace {
bool wanted(const char* what) {
  const char* const given = std::getenv("NAMM_TEST_GGML");
  return given && std::strcmp(given, what) == 0;
}
}  // namespace

#pragma GCC visibility push(default)
extern "C" {

/// Two callbacks more in front of `clear` (NAMM_TEST_GGML=callbacks).
void ggml_backend_buffer_clear(void* buffer, std::uint8_t value) {
  using Clear = void (*)(void*, std::uint8_t);
  if (wanted("callbacks")) return static_cast<Clear*>(buffer)[11](buffer, value);
  reinterpret_cast<Clear>(dlsym(RTLD_NEXT, "ggml_backend_buffer_clear"))(buffer, value);
}

/// An operation more in front of all others (NAMM_TEST_GGML=operations).
const char* ggml_op_name(int op) {
  const auto real = reinterpret_cast<const char* (*)(int)>(dlsym(RTLD_NEXT, "ggml_op_name"));
  return real(wanted("operations") && op > 0 ? op - 1 : op);
}

}  // extern "C"
#pragma GCC visibility pop
