#pragma once
#include <ggml-backend.h>

namespace namm::llama {

/// Our ggml backend, to be registered once per process: a device of type ACCEL that takes the nodes of cache_nodes.hpp.
ggml_backend_reg_t backend_registry();

}  // namespace namm::llama
