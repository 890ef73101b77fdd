#include "kernels/cuda_launch.hpp"
#include "kernels/ragged_attention_cuda.hpp"
#include "kernels/ragged_statistics_lane.hpp"

namespace namm::kernels {
namespace {

constexpr int kWarps = 4;  // per block; they share nothing but the first-level cache, which holds the keys they all read
constexpr int kLargestValue = 256;

/// Part p of row r of head h: maximum, sum and unnormalised output in the workspace.
struct Workspace {
  float *maximum, *sum, *output;
  std::size_t rows, parts, value_size;
  __host__ __device__ Workspace(const RaggedAttentionCuda& call)
      : rows(static_cast<std::size_t>(call.kv_heads) * call.queries * call.group),
        parts(call.parts),
        value_size(call.value_size) {
    maximum = call.workspace;
    sum = maximum + rows * parts;
    output = sum + rows * parts;
  }
  __host__ __device__ std::size_t floats() const { return rows * parts * (2 + value_size); }
};

// grid: (groups of 16 rows, parts, kv heads); a warp takes four rows over the blocks of its part
template <int kPairs>
__global__ void __launch_bounds__(kWarps* kWarp) attend(RaggedAttentionCuda call) {
  __shared__ float weights[kWarps][kWarpRows * kBlock];
  const int warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
  const RaggedHead head = call.heads[blockIdx.z];
  const int row_count = call.queries * call.group;
  const WarpRows in{call.rows + static_cast<std::size_t>(blockIdx.z) * row_count * head.key_size,
                    static_cast<int>(blockIdx.x * kWarps + warp) * kWarpRows, row_count, call.group, call.softcap};
  if (in.first_row >= row_count) return;
  const std::size_t blocks = (head.count + kBlock - 1) / kBlock;
  const std::size_t begin = blocks * blockIdx.y / call.parts, end = blocks * (blockIdx.y + 1) / call.parts;
  const int first_query = in.first_row / call.group;
  const int last_row = in.first_row + kWarpRows < row_count ? in.first_row + kWarpRows - 1 : row_count - 1;
  float maximum[kWarpRows], sum[kWarpRows], output[kWarpRows][2 * kPairs];
#pragma unroll
  for (int r = 0; r < kWarpRows; ++r) {
    maximum[r] = kHidden;
    sum[r] = 0;
#pragma unroll
    for (int n = 0; n < 2 * kPairs; ++n) output[r][n] = 0;
  }
  float* const own = weights[warp];
  for (std::size_t block = begin; block < end; ++block) {
    if (!head.dense) {
      const BlockVisibility v = head.blocks[block];
      if (v.first_min > last_row / call.group || v.last_max < first_query) continue;
    }
    float logits[kWarpRows][2];
    lane_logits(head, in, block, lane, logits);
#pragma unroll
    for (int r = 0; r < kWarpRows; ++r) {
      const float largest = fmaxf(maximum[r], warp_max(fmaxf(logits[r][0], logits[r][1])));
      const float first = weight_of(logits[r][0], largest), second = weight_of(logits[r][1], largest);
      const float rescale = rescale_of(maximum[r], largest);
      sum[r] = sum[r] * rescale + warp_sum(first + second);
      maximum[r] = largest;
#pragma unroll
      for (int n = 0; n < 2 * kPairs; ++n) output[r][n] *= rescale;
      *reinterpret_cast<float2*>(own + r * kBlock + 2 * lane) = make_float2(first, second);
    }
    __syncwarp();
    lane_values<kPairs>(head, block, lane, own, output);
    __syncwarp();
  }
  const Workspace out(call);
#pragma unroll
  for (int r = 0; r < kWarpRows; ++r) {
    if (in.first_row + r >= row_count) continue;
    const std::size_t at = (static_cast<std::size_t>(blockIdx.z) * row_count + in.first_row + r) * call.parts + blockIdx.y;
    if (lane == 0) {
      out.maximum[at] = maximum[r];
      out.sum[at] = sum[r];
    }
#pragma unroll
    for (int p = 0; p < kPairs; ++p) {
      const int n = 64 * p + 2 * lane;
      if (n < static_cast<int>(head.value_size))
        *reinterpret_cast<float2*>(out.output + at * head.value_size + n) = make_float2(output[r][2 * p], output[r][2 * p + 1]);
    }
  }
}

// a warp per row
__global__ void join(RaggedAttentionCuda call) {
  const Workspace in(call);
  const std::size_t row = static_cast<std::size_t>(blockIdx.x) * kWarps + threadIdx.x / kWarp;
  if (row >= in.rows) return;
  const int lane = threadIdx.x % kWarp;
  const std::size_t per_head = static_cast<std::size_t>(call.queries) * call.group;
  const float sink = call.sinks ? call.sinks[row / per_head * call.group + row % call.group] : kHidden;
  const float* const maximum = in.maximum + row * in.parts;
  const float total = log_sum(maximum, in.sum + row * in.parts, call.parts, 1, sink);
  if (lane == 0) call.log_sums[row] = total;
  for (std::size_t n = lane; n < call.value_size; n += kWarp) {
    float sum = 0;
    for (int p = 0; total != kHidden && p < call.parts; ++p)
      if (maximum[p] != kHidden) sum += expf(maximum[p] - total) * in.output[(row * in.parts + p) * call.value_size + n];
    call.output[row * call.value_size + n] = sum;
  }
}

// grid: (blocks of 64 entries / kWarps, kv heads); a warp takes one block of entries
__global__ void __launch_bounds__(kWarps* kWarp) statistics(RaggedAttentionCuda call, int first_query, int hop_queries,
                                                            const HopStatistics* out, const float* table, float decay) {
  __shared__ float means[kWarps][kHopQueries * kBlock];
  __shared__ float shared_table[2 * kFrequencies * kFrame];
  for (int i = threadIdx.x; i < 2 * kFrequencies * kFrame; i += kWarps * kWarp) shared_table[i] = table[i];
  __syncthreads();
  const int warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
  const RaggedHead head = call.heads[blockIdx.y];
  const std::size_t block = static_cast<std::size_t>(blockIdx.x) * kWarps + warp;
  if (block * kBlock >= head.count) return;
  float* const mean = means[warp];
  for (int q = 0; q < kHopQueries; ++q) *reinterpret_cast<float2*>(mean + q * kBlock + 2 * lane) = make_float2(0, 0);
  const int row_count = call.queries * call.group, end = (first_query + hop_queries) * call.group;
  const float* const log_sums = call.log_sums + static_cast<std::size_t>(blockIdx.y) * row_count;
  WarpRows in{call.rows + static_cast<std::size_t>(blockIdx.y) * row_count * head.key_size, first_query * call.group, end,
              call.group, call.softcap};
  for (; in.first_row < end; in.first_row += kWarpRows) {
    float logits[kWarpRows][2];
    lane_logits(head, in, block, lane, logits);
    lane_add_means(in, first_query, lane, logits, log_sums, mean);
  }
  for (int j = 0; j < 2; ++j) {
    const std::size_t entry = block * kBlock + 2 * lane + j;
    if (entry < head.count) take_entry(out[blockIdx.y], entry, mean + 2 * lane + j, hop_queries, shared_table, decay);
  }
}

}  // namespace

std::size_t ragged_attention_workspace(const RaggedAttentionCuda& call) {
  return Workspace(call).floats();
}

void ragged_attention_cuda(const RaggedAttentionCuda& call, void* stream) {
  if (call.value_size % 2 != 0 || call.value_size > kLargestValue)
    throw std::invalid_argument("CUDA: ragged attention: value_size must be even and at most 256, is " +
                                std::to_string(call.value_size));
  const int rows = call.queries * call.group;
  if (rows == 0 || call.kv_heads == 0) return;
  const auto to = static_cast<cudaStream_t>(stream);
  const dim3 grid((rows + kWarps * kWarpRows - 1) / (kWarps * kWarpRows), call.parts, call.kv_heads);
  if (call.value_size <= 64)
    attend<1><<<grid, kWarps * kWarp, 0, to>>>(call);
  else if (call.value_size <= 128)
    attend<2><<<grid, kWarps * kWarp, 0, to>>>(call);
  else
    attend<4><<<grid, kWarps * kWarp, 0, to>>>(call);
  check_launch("ragged attention");
  join<<<(call.kv_heads * rows + kWarps - 1) / kWarps, kWarps * kWarp, 0, to>>>(call);
  check_launch("ragged attention, joining");
}

void ragged_statistics_cuda(const RaggedAttentionCuda& call, int first_query, int hop_queries, const HopStatistics* out,
                            std::size_t longest, const float* table, float decay, void* stream) {
  if (hop_queries < 1 || hop_queries > kHopQueries || first_query < 0 || first_query + hop_queries > call.queries)
    throw std::invalid_argument("CUDA: statistics: a hop must be 1 to 16 queries of the batch, is " +
                                std::to_string(hop_queries) + " from query " + std::to_string(first_query) + " of " +
                                std::to_string(call.queries));
  if (longest == 0 || call.kv_heads == 0) return;
  const std::size_t blocks = (longest + kBlock - 1) / kBlock;
  const dim3 grid(static_cast<unsigned>((blocks + kWarps - 1) / kWarps), call.kv_heads);
  statistics<<<grid, kWarps * kWarp, 0, static_cast<cudaStream_t>(stream)>>>(call, first_query, hop_queries, out, table, decay);
  check_launch("ragged attention, statistics");
}

}  // namespace namm::kernels
