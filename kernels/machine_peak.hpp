#pragma once
#include <cstddef>

namespace namm::kernels {

/// The most that this machine computes: floating-point operations per second (a fused multiply-add counts as two) of `threads`
/// threads in registers alone, with the instruction set in use. By the threads' own time, so other programs count little. Takes
/// some 50 ms.
double measure_fma_rate(int threads);

/// Bytes per second that `threads` threads read from memory together, far beyond the caches. Takes some 100 ms and 256 MiB.
double measure_read_rate(int threads);

/// Reads `bytes` bytes (a multiple of 4) and nothing else: what a kernel that has to read them cannot undercut. The result keeps
/// the compiler honest.
unsigned read_all(const void* data, std::size_t bytes);

}  // namespace namm::kernels
