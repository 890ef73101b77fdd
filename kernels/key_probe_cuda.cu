#include "kernels/cuda_launch.hpp"
#include "kernels/key_probe_cuda.hpp"
#include "kernels/key_probe_lane.hpp"

namespace namm::kernels {
namespace {

constexpr int kWarps = 8;

// a warp per token; blockIdx.y counts groups of kProbeHeads heads
__global__ void __launch_bounds__(kWarps* kWarp)
    probe(TokenRows rows, const float* weights, std::size_t weight_stride, int heads, float* scores, std::size_t score_stride) {
  const std::size_t token = static_cast<std::size_t>(blockIdx.x) * kWarps + threadIdx.x / kWarp;
  if (token >= rows.count) return;
  const int lane = threadIdx.x % kWarp, begin = blockIdx.y * kProbeHeads;
  const int own = heads - begin < kProbeHeads ? heads - begin : kProbeHeads;
  float sums[kProbeHeads];
  probe_lane(rows, token, lane, weights + begin * weight_stride, weight_stride, own, sums);
#pragma unroll
  for (int h = 0; h < kProbeHeads; ++h) {
    const float sum = warp_sum(sums[h]);
    if (lane == 0 && h < own) scores[(begin + h) * score_stride + token] += sum;
  }
}

}  // namespace

void probe_rows_cuda(const TokenRows& rows, const float* weights, std::size_t weight_stride, int heads, float* scores,
                     std::size_t score_stride, void* stream) {
  if (rows.numbers % (rows.type == RowType::q8_0 ? 32 : 2) != 0)
    throw std::invalid_argument("CUDA: key probe: rows must hold an even count of numbers (q8_0: a multiple of 32), hold " +
                                std::to_string(rows.numbers));
  if (rows.count == 0 || heads == 0) return;
  const dim3 grid(static_cast<unsigned>((rows.count + kWarps - 1) / kWarps), (heads + kProbeHeads - 1) / kProbeHeads);
  probe<<<grid, kWarps * kWarp, 0, static_cast<cudaStream_t>(stream)>>>(rows, weights, weight_stride, heads, scores,
                                                                        score_stride);
  check_launch("key probe");
}

}  // namespace namm::kernels
