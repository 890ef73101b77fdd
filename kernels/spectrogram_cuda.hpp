#pragma once
#include <cstddef>

namespace namm::kernels {

/// spectrogram_frame() on a CUDA device; built with NAMM_WITH_CUDA. All pointers are device memory: signal [tokens][32], ema
/// [tokens][17] updated in place, table as spectrogram_table() gives it. `stream` is a cudaStream_t; the call does not wait for
/// it. Throws std::runtime_error with CUDA's reason if the launch fails.
void spectrogram_frame_cuda(const float* signal, float* ema, std::size_t tokens, float decay, const float* table, void* stream);

}  // namespace namm::kernels
