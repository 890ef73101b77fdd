#pragma once
// For .cu files only.
#include <cuda_runtime.h>

#include <stdexcept>
#include <string>

namespace namm::kernels {

/// Throws std::runtime_error with CUDA's reason if the launch just before failed.
inline void check_launch(const char* kernel) {
  if (const cudaError_t error = cudaGetLastError(); error != cudaSuccess)
    throw std::runtime_error(std::string("CUDA: kernel ") + kernel + ": " + cudaGetErrorString(error) +
                             "; see that the device is one of sm_75 to sm_120");
}

#ifdef __CUDACC__
/// Sum over the lanes of a warp, in all lanes: pairs 16 apart first, as warp_tree() does it on the host.
__device__ inline float warp_sum(float x) {
  for (int n = 16; n > 0; n /= 2) x += __shfl_xor_sync(0xffffffffu, x, n);
  return x;
}
__device__ inline float warp_max(float x) {
  for (int n = 16; n > 0; n /= 2) x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, n));
  return x;
}
#endif

}  // namespace namm::kernels
