#pragma once
#include <string>
#include <vector>

namespace namm::kernels {

/// The instruction set that kernels use: the best of this machine, or what the environment variable NAMM_ISA names
/// (scalar, sse2, ssse3, sse4, avx2, avx3, ...). Read once. Throws std::runtime_error if NAMM_ISA names one that is unknown or
/// that this machine lacks.
std::string isa_name();

/// Those of this machine, the best first and "scalar" last: what NAMM_ISA may name.
const std::vector<std::string>& isa_names();

/// The lesser of two: what a machine with the greater one has as well. "scalar" if one of them is not of this kind of machine.
std::string lesser_isa(const std::string& a, const std::string& b);

/// True if NAMM_ISA=scalar: every kernel runs its scalar twin.
bool isa_is_scalar();

}  // namespace namm::kernels
