#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "adapters/llama_cpp/device/layer_rows.hpp"
#include "adapters/llama_cpp/device/substitute.hpp"
#include "adapters/llama_cpp/store/cache_store.hpp"
#include "adapters/llama_cpp/store/row_holder.hpp"

namespace namm::llama {

class Instance;

/// The KV cache of one context in the memory of its devices: the store of the instance says what there is, this holds it. Made
/// when the runtime allocates its cache on a device while a scope is active.
class DeviceCache final : public RowHolder {
 public:
  explicit DeviceCache(Instance& owner);

  /// A buffer of the runtime's cache was allocated: of the layers that follow, those of one cache belong together.
  void add_buffer(ggml_backend_buffer_t buffer);
  /// The store's name for the cache that has this buffer; of one in host memory, of layers that are not on a device, that of the
  /// first: there are no others then.
  const void* group_of(ggml_backend_buffer_t buffer) const;
  /// The context has a backend on a device; it goes.
  void add_backend(ggml_backend_t backend, ComputeGraph own);
  void remove_backend(ggml_backend_t backend);

  /// A node that the runtime thinks of computing on a device, and whether that device can. Layers are announced to the store;
  /// what stands in the way is the instance's problem.
  void note(const ggml_tensor* node, bool supported);

  /// What stands in the way of a policy, known when all layers are; empty if nothing.
  std::string obstacle(const CachePolicy& policy, int window_tokens) const;

  /// A graph of the runtime. Throws what the store throws.
  ggml_status compute(ggml_backend_t backend, ggml_cgraph* graph);

  std::string beyond_devices(const CachePolicy& policy) const override;
  std::shared_ptr<RowSlots> slots(int layer, int kv_head) override;
  void tidy() override;
  std::vector<std::vector<float>> norms(int layer, bool values) override;
  void read_with(const ContentReader* reader) override;
  std::vector<std::vector<float>> contents(int layer) override;
  std::size_t row_bytes(int layer) const override;
  std::string row_types() const override;
  bool are_finite(int layer, std::span<const std::byte> rows) const override;
  std::vector<std::byte> read_rows(int layer, int kv_head, std::span<const std::int32_t> slots) override;
  void write_rows(int layer, int kv_head, std::span<const std::int32_t> slots, std::span<const std::byte> rows) override;
  std::int64_t kv_bytes() const override;
  std::int64_t other_bytes() const override;

 private:
  struct Stream {
    ggml_backend_t backend;
    ComputeGraph compute;
    Substitute substitute;
  };
  bool ours(const ggml_tensor* cache) const;
  void announce(const ggml_tensor* attention, bool supported);
  template <class Work>
  void measured(const LayerRows& rows, Work move);
  DeviceStream stream_of(const LayerRows& rows) const;
  LayerRows& rows_of(int layer) const;
  const ProbeTensors& probe_of(int layer, const LayerRows& rows);

  Instance& owner_;
  std::map<ggml_backend_t, Stream> streams_;
  std::map<int, std::unique_ptr<LayerRows>> rows_;
  std::map<const void*, int> cache_numbers_;  // by buffer
  const TokenProbe* probe_ = nullptr;         // of the policy; null: it reads no tokens
  std::map<int, ProbeTensors> layer_probes_;  // by layer, made when first used
  std::string why_no_statistics_, why_no_spectrogram_, why_no_norms_;
  bool shrink_failed_ = false;
};

}  // namespace namm::llama
