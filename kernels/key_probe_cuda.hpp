#pragma once
#include "kernels/key_probe.hpp"

namespace namm::kernels {

/// probe_rows() on a CUDA device, for the cache's own rows where they are; built with NAMM_WITH_CUDA. All pointers are device
/// memory, scores are added to. Rows of f32 aligned to 8 bytes, f16 and bf16 to 4, q8_0 to 2; an even count of numbers. On
/// `stream` (a cudaStream_t), does not wait. Throws std::invalid_argument for rows it does not take, std::runtime_error if the
/// launch fails.
void probe_rows_cuda(const TokenRows& rows, const float* weights, std::size_t weight_stride, int heads, float* scores,
                     std::size_t score_stride, void* stream);

}  // namespace namm::kernels
