#pragma once
#include <cstddef>
#include <vector>

namespace namm::llama {

/// Type of the runtime's cache tensors (ggml_type): f16, f32, bf16 or q8_0. The store holds F16 whatever the type; keys and
/// values are first rounded as the runtime would, so that attention sees the same numbers.
class CacheType {
 public:
  explicit CacheType(int ggml_type) : type_(ggml_type) {}
  static bool known(int ggml_type);
  double bytes_per_number() const;
  /// False where F16 alone gives the runtime's numbers: it converts an F32 cache to F16 for attention, too.
  bool rounds() const;
  /// `count` rows of `width` floats, `stride` apart, rounded; packed. Throws std::runtime_error if a number is beyond F16.
  std::vector<float> round(const float* rows, std::size_t stride, std::size_t count, std::size_t width) const;

 private:
  int type_;
};

}  // namespace namm::llama
