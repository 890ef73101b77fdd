#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "adapters/llama_callback/cache_layout.hpp"
#include "adapters/llama_cpp/backend/plain_keys.hpp"
#include "host/host.hpp"

struct ggml_tensor;
struct llama_context;

namespace namm::llama {

/// A memory over the KV cache of a context that the runtime holds itself, on any device. Reads what the policy needs in the
/// runtime's evaluation callback and makes room inside its cache: every KV head's kept rows move into the same low cells, each
/// head its own tokens, and the other cells are given back (llama_memory_seq_rm). All layers and heads share the cells, so they
/// keep the same number: uniform budgets only. The cache itself does not shrink: its free cells are used again, and attention
/// goes over fewer.
///
///     CallbackMemory memory;
///     params.cb_eval = CallbackMemory::callback;  params.cb_eval_user_data = &memory;     // n_seq_max 1
///     context = llama_init_from_model(model, params);
///     memory.attach(context);                     // once, before the first batch
///     memory.reset(settings);
///     llama_decode(context, batch);  llama_synchronize(context);  memory.finish_batch();  // every batch
///
/// One sequence (number 0), which only grows; llama_memory_clear goes with reset(). Not thread-safe.
class CallbackMemory {
 public:
  CallbackMemory();
  ~CallbackMemory();
  CallbackMemory(const CallbackMemory&) = delete;
  CallbackMemory& operator=(const CallbackMemory&) = delete;

  /// llama_context_params::cb_eval.
  static bool callback(ggml_tensor* node, bool ask, void* self);

  /// Evaluates one token to see the graph and clears the cache again. Throws std::runtime_error with what cannot be attached to
  /// and what would work; layers() is empty where the model has no KV cache.
  void attach(llama_context* context);
  /// Throws std::invalid_argument if the memory's budget is not uniform, or queries are read.
  static void check(const CachePolicy& memory);
  /// Forgets the sequence. Throws std::invalid_argument if the budget is not uniform, or attention is read and the context has
  /// flash attention, which does not show it.
  void reset(const CachePolicy& memory);
  /// True if it can only be attached without flash attention.
  static bool needs_probabilities(const CachePolicy& memory);
  /// After every batch, when it is computed: updates if a multiple of the interval was crossed. Throws std::runtime_error with
  /// what went wrong meanwhile.
  void finish_batch();
  void update();

  /// kv_bytes is what the runtime has allocated; kv_bytes_full what it would allocate for `cells_full` cells.
  CacheUsage usage() const;
  void expect_full(std::int64_t cells_full) { cells_full_ = cells_full; }
  std::vector<HeadContent> content() const;
  std::vector<LayerDescription> layers() const;
  /// Where the rows lie, for tests: entry e of every head is in cell cells()[e].
  const std::vector<StockLayer>& stock_layers() const { return layout_.layers(); }
  const std::vector<std::int32_t>& cells() const { return cells_; }
  void set_threads(int threads) { threads_ = threads; }

 private:
  struct Layer;
  bool wants(const CacheLayout::Part& part) const;
  void take(const CacheLayout::Part& part, const ggml_tensor* node);
  void begin_ubatch(const ggml_tensor* write);
  void append(Layer& layer);
  void observe(Layer& layer, const ggml_tensor* soft_max);
  void evict(const std::vector<std::vector<std::int32_t>>& kept);
  void release(const std::vector<std::int32_t>& into);
  void measure();

  llama_context* context_ = nullptr;
  CacheLayout layout_;
  std::vector<Layer> layers_;
  PlainKeys plain_keys_;
  CachePolicy memory_;
  CacheUsage usage_;
  bool learning_ = false;
  bool wants_keys_ = false, wants_values_ = false, wants_attention_ = false;
  std::vector<std::int32_t> cells_;      // of each entry, the same for all heads; oldest first
  std::vector<std::int32_t> labels_;     // the position that the runtime knows each of these cells by
  std::vector<std::int32_t> positions_;  // of the tokens of this ubatch
  std::int64_t tokens_seen_ = 0, tokens_finished_ = 0;
  std::int64_t cells_full_ = 0;
  int threads_ = 1;
  std::string failure_;
};

}  // namespace namm::llama
