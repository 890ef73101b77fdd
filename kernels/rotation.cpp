#include "kernels/rotation.hpp"

#include <cmath>

namespace namm::kernels {

void rotate(float* numbers, std::size_t count, std::size_t together) {
  if (together < 2) return;
  for (std::size_t half = 1; half < together; half *= 2)
    for (std::size_t begin = 0; begin < count; begin += 2 * half)
      for (std::size_t i = begin; i < begin + half; ++i) {
        const float a = numbers[i], b = numbers[i + half];
        numbers[i] = a + b;
        numbers[i + half] = a - b;
      }
  const float scale = 1 / std::sqrt(static_cast<float>(together));
  for (std::size_t i = 0; i < count; ++i) numbers[i] *= scale;
}

}  // namespace namm::kernels
