#pragma once
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "adapters/llama_callback/callback_memory.hpp"
#include "adapters/llama_cpp/context/create.hpp"
#include "adapters/llama_cpp/host/llama_model.hpp"
#include "adapters/llama_cpp/store/cache_store.hpp"
#include "host/host.hpp"

namespace namm::llama {

class TailBatch;

/// Who holds the KV cache that a memory is attached to.
enum class CacheHolder {
  backend,   ///< a CacheStore of ours, in host memory: any length per head, freed memory is freed
  device,    ///< the same in the memory of the devices that the layers are on (docs/gpu.md)
  callback,  ///< the runtime, on any device: heads of equal length, freed cells are used again (CallbackMemory)
};

struct LlamaHostSettings {
  int context_tokens = 4096;  ///< longest sequence; cells cost no memory until tokens are in them
  int threads = 1;
  int chunk_tokens = 512;  ///< most tokens evaluated at once
  CacheHolder holder = CacheHolder::backend;
  /// Callback: cells of the runtime's cache for policies that drop; 0 = context_tokens, as for those that keep everything.
  int cells = 0;
  /// Plain llama.cpp for comparisons: the runtime's own cache, no store; memory and usage are not available.
  bool stock = false;
  bool stock_flash_attention = true;
  /// Ends the batch that is being read once it is true: evaluation then throws std::runtime_error, and what the host holds is
  /// undefined until the next reset. Outlives the host.
  const std::atomic<bool>* stop = nullptr;
};

/// llama.cpp with its KV cache in a CacheStore, or in its own and a memory attached by the callback.
class LlamaHost final : public Host {
 public:
  /// Throws std::runtime_error if the model has no KV cache, or one a memory cannot be attached to.
  LlamaHost(std::shared_ptr<const LlamaModel> model, const LlamaHostSettings& settings);
  ~LlamaHost() override;

  const HostDescription& description() const override { return description_; }
  std::vector<Token> tokenize(std::string_view text, bool add_special) const override;
  std::vector<Token> tokenize_template(std::string_view text) const override;
  std::string detokenize(std::span<const Token> tokens) const override;
  ChatTemplate chat_template() const override;
  void reset(const CachePolicy& memory) override;
  void evaluate(std::span<const Token> tokens) override;
  void update() override;
  std::vector<double> log_likelihood(std::span<const Token> tokens) override;
  Generation generate(int max_tokens, bool stop_at_newline) override;
  CacheUsage usage() const override;
  std::vector<HeadContent> content() const override;

  std::span<const float> logits() const override { return logits_; }
  /// Where the backend holds the cache in host memory, no layer has a window, and none keeps a state of all tokens.
  bool rewind(std::size_t tokens, std::span<const float> logits, std::size_t more) override;
  /// Null unless attached by the backend.
  std::shared_ptr<const Snapshot> snapshot() override;
  void branch(const Snapshot& from, std::span<const HeadContent> kept) override;
  std::vector<std::vector<double>> branch_log_likelihoods(const Snapshot& from,
                                                          std::span<const std::vector<HeadContent>> branches,
                                                          std::span<const Token> question,
                                                          std::span<const Token> answer) override;
  /// Null unless attached by the backend, or by the callback.
  CacheStore* store() const { return store_; }
  const CallbackMemory* callback_memory() const { return callback_.get(); }
  bool measures_usage() const { return store_ || callback_; }
  llama_context* context() const { return context_.get(); }

 private:
  llama_context_params params(bool flash_attention, int cells) const;
  void open_stock(bool flash_attention, int cells);
  void open_with_store();
  void open_with_callback(bool flash_attention, int cells);
  void decode(std::span<const Token> tokens, bool all_logits);
  std::vector<Token> tokenize(std::string_view text, bool add_special, bool parse_special) const;
  void keep_logits(int row);

  std::shared_ptr<const LlamaModel> model_;
  LlamaHostSettings settings_;
  HostDescription description_;
  ContextPointer context_;
  CacheStore* store_ = nullptr;
  std::unique_ptr<CallbackMemory> callback_;
  std::unique_ptr<TailBatch> tails_;  // when branches are first read together
  bool flash_attention_ = true;       // of the context, as its cells
  int cells_ = 0;
  std::size_t most_tokens_ = 0;  // of a batch
  bool updates_ = false;         // change what is held, or are looked at
  int interval_tokens_ = 512;
  int position_ = 0;
  std::vector<float> logits_;
};

}  // namespace namm::llama
