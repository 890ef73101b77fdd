#pragma once
#include <cstddef>
#include <memory>
#include <vector>

struct ggml_backend;
struct ggml_tensor;

namespace namm::llama {

/// Takes the rotary embedding off keys that are on their way into the cache. The runtime may reuse the memory of the un-rotated
/// key, so it is restored: the inverse rotation by ggml itself, with the parameters of the node that rotated. Exact to rounding
/// (1e-6).
class PlainKeys {
 public:
  PlainKeys();
  ~PlainKeys();
  PlainKeys(PlainKeys&&) noexcept;
  /// `rows`: src[0] of the SET_ROWS node that writes keys: float [kv_heads * key_size, tokens]. Gives [tokens][kv_heads *
  /// key_size]; the rows themselves where the model does not rotate. Valid until the next call. Throws std::runtime_error if the
  /// rotation cannot be undone (several axes, or keys that were changed after it).
  const float* restore(const ggml_tensor* rows);

 private:
  struct FreeBackend {
    void operator()(ggml_backend* backend) const;
  };
  std::unique_ptr<ggml_backend, FreeBackend> cpu_;
  std::vector<float> keys_;
  std::vector<unsigned char> graph_memory_;
};

}  // namespace namm::llama
