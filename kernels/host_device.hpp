#pragma once
// What the arithmetic of CUDA kernels needs so that the host compiles it, too: tests run blocks and threads as loops.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/half.hpp"

#ifdef __CUDACC__
#include <cuda_fp16.h>
#define NAMM_HOST_DEVICE __host__ __device__
#define NAMM_UNROLL _Pragma("unroll")
#else
#define NAMM_HOST_DEVICE
#define NAMM_UNROLL
#endif

namespace namm::kernels {

inline constexpr int kWarp = 32;  ///< threads that run in step

/// Two numbers that lie side by side.
struct Pair {
  float first, second;
};

NAMM_HOST_DEVICE inline float to_float(std::uint16_t half) {
#ifdef __CUDA_ARCH__
  return __half2float(__ushort_as_half(half));
#else
  return half_to_float(half);
#endif
}

/// Two F16 numbers in one load; `from` is aligned to 4 bytes.
NAMM_HOST_DEVICE inline Pair load_halves(const std::uint16_t* from) {
#ifdef __CUDA_ARCH__
  const float2 pair = __half22float2(*reinterpret_cast<const __half2*>(from));
  return {pair.x, pair.y};
#else
  return {half_to_float(from[0]), half_to_float(from[1])};
#endif
}

}  // namespace namm::kernels
