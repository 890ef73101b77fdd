#pragma once
#include <string>

namespace namm::kernels {

/// The instruction set that kernels use: the best of this machine, or what the environment variable NAMM_ISA names
/// (scalar, sse2, ssse3, sse4, avx2, avx3, ...). Read once. Throws std::runtime_error if NAMM_ISA names one that is unknown or
/// that this machine lacks.
std::string isa_name();

/// True if NAMM_ISA=scalar: every kernel runs its scalar twin.
bool isa_is_scalar();

}  // namespace namm::kernels
