#pragma once
#include <llama.h>

namespace namm::llama {

/// Memory for a batch of the runtime's, of at most so many tokens with one sequence each.
struct TokenBatch {
  explicit TokenBatch(int tokens) : batch(llama_batch_init(tokens, 0, 1)) {}
  ~TokenBatch() { llama_batch_free(batch); }
  TokenBatch(const TokenBatch&) = delete;
  TokenBatch& operator=(const TokenBatch&) = delete;
  llama_batch batch;
};

}  // namespace namm::llama
