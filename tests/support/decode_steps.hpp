#pragma once
#include <llama.h>

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace namm::llama {
class CacheStore;
}

namespace namm::test {

/// One token of a batch.
struct Step {
  std::int32_t token = 0;
  int sequence = 0;
};

/// [token][vocabulary]
using Logits = std::vector<std::vector<float>>;

/// Evaluates one batch: each token at its sequence's next position, which `positions` [sequence] says and then counts on; calls
/// `computed` behind it and returns the logits of all. Throws std::runtime_error if it fails, with the words of the context's
/// store, if it has one.
Logits decode_steps(llama_context* context, const llama::CacheStore* store, std::vector<int>& positions,
                    std::span<const Step> steps, const std::function<void()>& computed);

/// The tokens of one sequence in batches of `chunk`, each by `decode`; the logits of all.
Logits decode_in_chunks(std::span<const std::int32_t> tokens, std::size_t chunk, int sequence,
                        const std::function<Logits(std::span<const Step>)>& decode);

}  // namespace namm::test
