#include "kernels/bam_cuda.hpp"
#include "kernels/bam_query.hpp"
#include "kernels/cuda_launch.hpp"

namespace namm::kernels {
namespace {

constexpr int kThreads = 128;
constexpr int kTileKeys = 64;

/// [queries | keys | values][token][32] of a problem.
__device__ float* part_of(float* workspace, std::size_t longest, int problem, int part) {
  return workspace + (static_cast<std::size_t>(problem) * 3 + part) * longest * kBamWidth;
}

// grid: (tokens, problems); a thread per output, so that weights and results are read and written side by side
__global__ void __launch_bounds__(3 * kBamWidth)
    project(const BamProblem* problems, std::size_t longest, std::size_t width, float* workspace) {
  const BamProblem problem = problems[blockIdx.y];
  const std::size_t token = blockIdx.x;
  if (token >= problem.tokens) return;
  const int o = threadIdx.x;
  part_of(workspace, longest, blockIdx.y, o / kBamWidth)[token * kBamWidth + o % kBamWidth] =
      bam_project(problem.features + token * width, width, {problem.parameters, width}, o);
}

// grid: (blocks of kThreads queries, problems); a thread per query, keys and values pass through shared memory
__global__ void __launch_bounds__(kThreads)
    attend(const BamProblem* problems, std::size_t longest, std::size_t width, float* workspace) {
  __shared__ float4 keys[kTileKeys * kBamWidth / 4], values[kTileKeys * kBamWidth / 4];
  const BamProblem problem = problems[blockIdx.y];
  const std::size_t first_query = static_cast<std::size_t>(blockIdx.x) * kThreads;
  if (first_query >= problem.tokens) return;
  const std::size_t query = first_query + threadIdx.x;
  const bool active = query < problem.tokens;
  BamQuery q;
  bam_start(q, part_of(workspace, longest, blockIdx.y, 0) + (active ? query : first_query) * kBamWidth);
  const auto* const all_keys = reinterpret_cast<const float4*>(part_of(workspace, longest, blockIdx.y, 1));
  const auto* const all_values = reinterpret_cast<const float4*>(part_of(workspace, longest, blockIdx.y, 2));
  for (std::size_t tile = first_query; tile < problem.tokens; tile += kTileKeys) {
    const int count = static_cast<int>(problem.tokens - tile < kTileKeys ? problem.tokens - tile : kTileKeys);
    __syncthreads();
    for (int i = threadIdx.x; i < count * kBamWidth / 4; i += kThreads) {
      keys[i] = all_keys[tile * kBamWidth / 4 + i];
      values[i] = all_values[tile * kBamWidth / 4 + i];
    }
    __syncthreads();
    if (!active) continue;
    const int first = query > tile ? static_cast<int>(query - tile < kTileKeys ? query - tile : kTileKeys) : 0;
    bam_attend(q, reinterpret_cast<const float*>(keys), reinterpret_cast<const float*>(values), first, count);
  }
  if (active) problem.scores[query] = bam_read_out(q, problem.features + query * width, width, {problem.parameters, width});
}

}  // namespace

void bam_scores_cuda(const BamProblem* problems, int count, std::size_t longest, std::size_t width, float* workspace,
                     void* stream) {
  if (count == 0 || longest == 0) return;
  const auto to = static_cast<cudaStream_t>(stream);
  project<<<dim3(static_cast<unsigned>(longest), count), 3 * kBamWidth, 0, to>>>(problems, longest, width, workspace);
  check_launch("BAM, projection");
  attend<<<dim3(static_cast<unsigned>((longest + kThreads - 1) / kThreads), count), kThreads, 0, to>>>(problems, longest, width,
                                                                                                       workspace);
  check_launch("BAM");
}

}  // namespace namm::kernels
