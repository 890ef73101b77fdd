#pragma once
#include <llama.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "adapters/llama_cpp/host/llama_model.hpp"
#include "adapters/llama_cpp/store/cache_store.hpp"
#include "namm/cache_policy.hpp"
#include "tests/support/decode_steps.hpp"

namespace namm::test {

/// True where tests run on the GPUs of this machine in place of emulated ones: NAMM_TEST_GPU is set (tests/gpu/run.sh).
bool on_real_devices();
/// Devices that tests may use.
int device_count();
/// A model with its last layers on the first emulated device, or on the GPUs of this machine; the output counts as one.
std::shared_ptr<const llama::LlamaModel> load_on_device(const std::filesystem::path& model, int gpu_layers = 99);
/// Bytes that the driver of a device says are free.
std::int64_t free_memory(int device);
/// How far apart, as a share, may be what is equal to the bit on emulated devices, and what is `apart` there: a GPU has kernels
/// of its own for each shape, and products in TF32.
double exactly();
double nearly(double apart);

/// Where a model and its cache are, and what is attached.
struct Placement {
  std::vector<int> devices = {0};  ///< by number; none: the CPU
  std::optional<CachePolicy> memory;
  int cells = 2048;
  int ubatch = 512;
  int sequences = 1;
  bool unified = true;
  bool offload_cache = true;
  bool flash_attention = true;
  ggml_type key_type = GGML_TYPE_F16, value_type = GGML_TYPE_F16;
  int gpu_layers = 99;
  bool whole_window_cache = true;
  ggml_backend_sched_eval_callback callback = nullptr;
};

/// A model loaded and a context created there, with the logits of every token.
class PlacedContext {
 public:
  /// Throws std::runtime_error if it cannot be made, what AttachScope::finish throws if a policy cannot be attached.
  PlacedContext(const std::filesystem::path& model, const Placement& placement);
  ~PlacedContext();
  PlacedContext(const PlacedContext&) = delete;
  PlacedContext& operator=(const PlacedContext&) = delete;

  /// Tokens of a sequence, in batches of `chunk`, at the positions behind those it has. Returns [token][vocabulary].
  Logits evaluate(std::span<const std::int32_t> tokens, std::size_t chunk, int sequence = 0);
  /// One batch with the tokens of several sequences. Throws std::runtime_error with the store's words if it fails.
  Logits decode(std::span<const Step> steps);
  /// One batch of the first sequence that is computed and then removed, as where a runtime is stopped behind its last node;
  /// without a word to the store.
  void decode_and_remove(std::span<const std::int32_t> tokens);
  /// The positions from `from` on; without a word to the store.
  bool remove(int sequence, int from);
  /// Where the next token of a sequence goes.
  void go_on_at(int sequence, int position) { positions_[static_cast<std::size_t>(sequence)] = position; }

  llama_context* get() const { return context_; }
  llama::CacheStore* store() const { return store_; }

 private:
  llama_model* model_ = nullptr;
  llama_context* context_ = nullptr;
  llama::CacheStore* store_ = nullptr;
  std::vector<int> positions_;
};

/// Long and short parts of batches, then single tokens: all ways in which a mask is made.
std::vector<std::vector<float>> read_all(PlacedContext& context, std::span<const std::int32_t> tokens);

/// The largest |a - b|, as a share of the largest |b|; infinite if they are not of one shape or something is no number.
double relative_difference(const std::vector<std::vector<float>>& a, const std::vector<std::vector<float>>& b);

}  // namespace namm::test
