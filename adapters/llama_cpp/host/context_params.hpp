#pragma once
#include <llama.h>

#include "adapters/llama_cpp/host/llama_host.hpp"

namespace namm::llama {

/// What all contexts of a host have in common: an F16 cache of `cells` per sequence, rounded up to what the runtime hands out.
/// One cache for all sequences, as for one: a state can only be read by a context with as many caches as the one that wrote it.
inline llama_context_params context_params(const LlamaHostSettings& settings, int cells, int sequences = 1) {
  llama_context_params params = llama_context_default_params();
  params.n_seq_max = static_cast<std::uint32_t>(sequences);
  params.n_ctx = static_cast<std::uint32_t>((cells + 255) / 256 * 256 * sequences);
  params.n_batch = params.n_ubatch = static_cast<std::uint32_t>(settings.chunk_tokens);
  params.n_threads = params.n_threads_batch = settings.threads;
  params.type_k = params.type_v = GGML_TYPE_F16;
  params.offload_kqv = false;
  params.swa_full = false;
  params.kv_unified = true;
  return params;
}

}  // namespace namm::llama
