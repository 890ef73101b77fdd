#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <llama.h>

#include "namm/cache_policy.hpp"
#include "namm/cache_usage.hpp"

namespace namm::llama {

/// A context of llama.cpp whose KV cache a policy keeps small: keys and values lie in lists of ours, one per (sequence, layer, KV
/// head), of any length; what is dropped is given back to the system. Use it like any other context:
///
///     auto attached = namm::llama::attach(model, params, namm::load_policy("default").with_budget("25%"));
///     llama_decode(attached.context(), batch);           // or attached.decode(batch), which throws
///     attached.usage().physical_saving();
///
/// Not thread-safe, as a context is not; several of them may be used side by side. Frees the context: do not llama_free() it. Of
/// one that was moved from, only destruction and assignment are defined.
class Attached {
 public:
  Attached(Attached&&) noexcept;
  Attached& operator=(Attached&&) noexcept;
  ~Attached();  ///< frees the context

  llama_context* context() const;
  const CachePolicy& policy() const;
  /// Layers that have a KV cache, ascending.
  std::vector<LayerDescription> layers() const;

  /// llama_decode, and waits for its end. Throws std::runtime_error with the reason if it fails: the store's, or the status;
  /// std::invalid_argument if the batch is larger than n_batch.
  void decode(const llama_batch& batch);
  /// Why the last llama_decode on context() failed, if it was for the policy's sake; else empty. Asking clears it.
  std::string take_failure();

  /// Brings every sequence to its budget now; otherwise that happens every CachePolicy::interval_tokens tokens.
  void update();
  /// Entries and bytes held, peaks, and what a full cache would hold; all sequences together.
  CacheUsage usage() const;
  /// The tokens that each (layer, KV head) of the first sequence holds.
  std::vector<HeadContent> content() const;

  // Sequences, as llama_memory_*: with these the store follows copies and cuts at once, and says what cannot be done.
  void clear();
  /// Removes a sequence from position `from` on; 0: all of it. Throws std::invalid_argument below 0, std::runtime_error if it was
  /// evicted from since: what was dropped in view of later tokens cannot come back. Remove the whole sequence and read it again.
  void remove(llama_seq_id sequence, llama_pos from = 0);
  /// Copies a whole sequence, for branches of one prompt. In one unified cache the copies share one list, its budget and its
  /// statistics: what one of them reads decides about the tokens of all. Where the caches of sequences are apart
  /// (llama_context_params::kv_unified is false) each copy has its own, in memory of its own.
  void copy(llama_seq_id source, llama_seq_id target);

  /// A sequence (-1: all of the context) with what the policy knows of it.
  std::vector<std::byte> save(llama_seq_id sequence = -1) const;
  /// Puts it in the place of what was there. Throws std::runtime_error, and changes nothing, if it is not what save() gave (it
  /// has a checksum) or of another model or policy.
  void load(std::span<const std::byte> saved, llama_seq_id sequence = -1);

 private:
  struct Parts;
  explicit Attached(std::unique_ptr<Parts> parts);
  friend struct AttachedInternals;
  friend Attached attach(llama_model* model, const llama_context_params& params, const CachePolicy& policy);
  std::unique_ptr<Parts> parts_;
};

/// Creates a context of the model with the policy attached. `params` as for llama_init_from_model; flash attention is switched
/// on. With offload_kqv (llama.cpp's default) the cache of a model whose layers are on GPUs is in their memory (docs/gpu.md has
/// what works there); else it is in host memory. n_ctx must hold the whole text, also what will be dropped: cells without tokens
/// cost no memory. The model must outlive the context.
///
/// Everything is checked before the first batch. Throws std::invalid_argument for what the caller can change: flash attention
/// switched off, a cache type other than f16, bf16, f32 and q8_0, a policy that drops without a budget, that was calibrated on
/// another model, or that cannot be in device memory. Throws std::runtime_error for models that no policy attaches to
/// (docs/backbones.md has them), and for what does not work in device memory: types other than f16, layers on both sides.
Attached attach(llama_model* model, const llama_context_params& params, const CachePolicy& policy);

/// What was made for a model on this machine by `namm calibrate` or `namm tune` and is kept in the user's data folder ('namm
/// policies' lists it): the policy that was tuned for the budget, else the calibrated one; else "default". A budget as for
/// CachePolicy::with_budget; "" leaves the policy's own. Throws std::invalid_argument if the budget is none, std::runtime_error
/// if `model` is no GGUF file.
CachePolicy policy_for(const std::filesystem::path& model, const std::string& budget = "");

/// Why no policy attaches to the model, with what would work; empty if one does. Asks the model and, if that does not tell, a
/// small context.
std::string why_not_attachable(llama_model* model);

}  // namespace namm::llama
