// The emulated devices as a library that ggml loads (GGML_BACKEND_PATH): NAMM_EMULATED_DEVICES of them, one if it is not set.
#include <cstdlib>

#include "ggml-backend-impl.h"
#include "tests/support/emulated_device.hpp"

extern "C" __attribute__((visibility("default"))) ggml_backend_reg_t ggml_backend_init() {
  const char* const count = std::getenv("NAMM_EMULATED_DEVICES");
  return namm::test::emulated_registry(count ? std::atoi(count) : 1);
}
