#pragma once
#include <llama.h>

#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "adapters/llama_callback/callback_memory.hpp"
#include "adapters/llama_cpp/host/llama_model.hpp"
#include "adapters/llama_cpp/store/cache_store.hpp"
#include "tests/llama/attention_reference.hpp"
#include "tests/support/decode_steps.hpp"

namespace namm::test {

struct ContextSettings {
  int cells = 2048;
  int sequences = 1;
  bool unified = true;
  int ubatch = 512;
  std::optional<CachePolicy> memory;  ///< none: plain llama.cpp
  AttentionReference* reference = nullptr;
  llama::CallbackMemory* callback = nullptr;  ///< attached when the context is there
  std::pair<ggml_backend_sched_eval_callback, void*> watcher = {nullptr, nullptr};
  bool flash_attention = true;
  bool whole_window_cache = true;  ///< sliding window layers keep cells for all tokens too
  ggml_type type_k = GGML_TYPE_F16, type_v = GGML_TYPE_F16;
};

/// A llama.cpp context, attached or plain, with the logits of every token.
class Context {
 public:
  /// Throws std::runtime_error if it cannot be made or attached to.
  Context(std::shared_ptr<const llama::LlamaModel> model, const ContextSettings& settings);
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  /// Evaluates one batch; positions count on from sequence to sequence. Returns [step][vocabulary].
  Logits decode(std::span<const Step> steps);
  /// The tokens of sequence 0 in chunks; the logits of all.
  Logits evaluate(std::span<const std::int32_t> tokens, std::size_t chunk, int sequence = 0);
  /// llama_memory_clear; the store is not told.
  void clear();
  /// Removes the positions from `position` on of sequence 0.
  bool remove_from(int position);

  llama_context* get() const { return context_; }
  llama::CacheStore* store() const { return store_; }

 private:
  std::shared_ptr<const llama::LlamaModel> model_;
  llama_context* context_ = nullptr;
  llama::CacheStore* store_ = nullptr;
  llama::CallbackMemory* callback_ = nullptr;
  std::vector<int> positions_;
};

/// Largest |a - b| over all logits.
double largest_difference(const std::vector<std::vector<float>>& a, const std::vector<std::vector<float>>& b);
/// Largest |x|.
double largest(const std::vector<std::vector<float>>& a);

/// A memory with policy `full`.
CachePolicy full_memory();

/// Real models for the exactness tests: the one named by NAMM_TEST_MODEL and the project's own, as far as they are there.
std::vector<std::filesystem::path> real_models();

}  // namespace namm::test
