#include "kernels/cuda_launch.hpp"
#include "kernels/spectrogram_cuda.hpp"
#include "kernels/spectrogram_token.hpp"

namespace namm::kernels {
namespace {

constexpr int kThreads = 128;

// One thread per token. The table is the same for all: every read of it is a broadcast from shared memory.
__global__ void frame(const float* signal, float* ema, std::size_t tokens, float decay, const float* table) {
  __shared__ float shared[2 * kFrequencies * kFrame];
  for (int i = threadIdx.x; i < 2 * kFrequencies * kFrame; i += kThreads) shared[i] = table[i];
  __syncthreads();
  const std::size_t token = static_cast<std::size_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (token >= tokens) return;
  float own[kFrame];
  const float4* const rows = reinterpret_cast<const float4*>(signal + token * kFrame);
#pragma unroll
  for (int i = 0; i < kFrame / 4; ++i) reinterpret_cast<float4*>(own)[i] = rows[i];
  spectrogram_token(own, ema + token * kFrequencies, decay, shared);
}

}  // namespace

void spectrogram_frame_cuda(const float* signal, float* ema, std::size_t tokens, float decay, const float* table, void* stream) {
  if (tokens == 0) return;
  const auto blocks = static_cast<unsigned>((tokens + kThreads - 1) / kThreads);
  frame<<<blocks, kThreads, 0, static_cast<cudaStream_t>(stream)>>>(signal, ema, tokens, decay, table);
  check_launch("spectrogram");
}

}  // namespace namm::kernels
