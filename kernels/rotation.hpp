#pragma once
#include <cstddef>

namespace namm::kernels {

/// Numbers that are rotated together: the largest power of two that divides `size`, at most 128; 0 of no numbers.
inline constexpr std::size_t kMostRotated = 128;
constexpr std::size_t rotated_together(std::size_t size) {
  const std::size_t power = size & (~size + 1);
  return power < kMostRotated ? power : kMostRotated;
}

/// In place, every `together` of `count` numbers, a power of two that divides it: the Walsh-Hadamard transform, orthonormal and
/// its own inverse. Dot products of two rotated rows are those of the rows; what stands out in one number is spread over all, so
/// that few bits hold it better (as QuaRot, arXiv 2404.00456).
void rotate(float* numbers, std::size_t count, std::size_t together);
/// A row of a head: together what rotated_together() says.
inline void rotate_row(float* row, std::size_t size) {
  rotate(row, size, rotated_together(size));
}

}  // namespace namm::kernels
