// Row helpers shared by the training kernels: a row is loaded from its storage type into a plain float (or
// double) buffer, worked on there in loops the compiler vectorises, and stored back once.
#pragma once

#include <torch/extension.h>

#include <cmath>
#include <cstdint>
#include <cstring>

namespace hosts {

// The type the arithmetic runs in: double only for gradcheck, float for float and bfloat16 storage.
template <typename T>
struct Compute {
  using type = float;
};
template <>
struct Compute<double> {
  using type = double;
};

template <typename T, typename C>
inline void load_row(const T* from, C* to, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    to[i] = static_cast<C>(from[i]);
  }
}

// bfloat16 keeps the upper half of a float. Bit operations on integers vectorise where at::BFloat16's
// conversion operators may not.
template <>
inline void load_row<at::BFloat16, float>(const at::BFloat16* from, float* to, int64_t n) {
  const auto* bits = reinterpret_cast<const uint16_t*>(from);
  for (int64_t i = 0; i < n; ++i) {
    const uint32_t word = static_cast<uint32_t>(bits[i]) << 16;
    std::memcpy(to + i, &word, sizeof(word));
  }
}

template <typename T, typename C>
inline void store_row(const C* from, T* to, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    to[i] = static_cast<T>(from[i]);
  }
}

// Rounds to nearest, ties to even. No NaN branch: a NaN loss stops training anyway.
template <>
inline void store_row<at::BFloat16, float>(const float* from, at::BFloat16* to, int64_t n) {
  auto* bits = reinterpret_cast<uint16_t*>(to);
  for (int64_t i = 0; i < n; ++i) {
    uint32_t word;
    std::memcpy(&word, from + i, sizeof(word));
    bits[i] = static_cast<uint16_t>((word + 0x7fffu + ((word >> 16) & 1u)) >> 16);
  }
}

template <typename C>
inline C sigmoid(C v) {
  return C(1) / (C(1) + std::exp(-v));
}

}  // namespace hosts
