#include "adapters/llama_cpp/backend/cache_type.hpp"

#include <ggml.h>

#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <string>

namespace namm::llama {
namespace {

constexpr float kLargestHalf = 65504;

ggml_type of(int type) {
  return static_cast<ggml_type>(type);
}

}  // namespace

bool CacheType::known(int type) {
  return type == GGML_TYPE_F16 || type == GGML_TYPE_F32 || type == GGML_TYPE_BF16 || type == GGML_TYPE_Q8_0;
}

double CacheType::bytes_per_number() const {
  return static_cast<double>(ggml_type_size(of(type_))) / static_cast<double>(ggml_blck_size(of(type_)));
}

bool CacheType::rounds() const {
  return type_ == GGML_TYPE_BF16 || type_ == GGML_TYPE_Q8_0;
}

std::vector<float> CacheType::round(const float* rows, std::size_t stride, std::size_t count, std::size_t width) const {
  const ggml_type_traits* const traits = ggml_get_type_traits(of(type_));
  const auto numbers = static_cast<std::int64_t>(width);
  std::vector<std::uint8_t> packed(ggml_row_size(of(type_), numbers));
  std::vector<float> out(count * width);
  for (std::size_t i = 0; i < count; ++i) {
    traits->from_float_ref(rows + i * stride, packed.data(), numbers);
    traits->to_float(packed.data(), out.data() + i * width, numbers);
  }
  for (const float x : out)
    if (std::abs(x) > kLargestHalf)
      throw std::runtime_error(
          "KV cache: keys and values must be within 65504, the range of f16 in which the store holds them, one is " +
          std::to_string(x) + "; run this model without a policy");
  return out;
}

}  // namespace namm::llama
