#include "core/probe/squares.hpp"

#include <algorithm>
#include <cmath>

namespace namm {

SquareScale scale_of(std::span<const float> rows, std::size_t width) {
  std::vector<double> sums(width), squares(width);
  const std::size_t count = width == 0 ? 0 : rows.size() / width;
  for (std::size_t i = 0; i < count; ++i)
    for (std::size_t d = 0; d < width; ++d) sums[d] += rows[i * width + d];
  for (double& sum : sums) sum /= static_cast<double>(std::max<std::size_t>(count, 1));
  for (std::size_t i = 0; i < count; ++i)
    for (std::size_t d = 0; d < width; ++d) squares[d] += (rows[i * width + d] - sums[d]) * (rows[i * width + d] - sums[d]);
  SquareScale out;
  for (std::size_t d = 0; d < width; ++d) {
    const double deviation = count == 0 ? 0 : std::sqrt(squares[d] / static_cast<double>(count));
    out.centre.push_back(static_cast<float>(sums[d]));
    // what hardly varies next to its size is rounding, not information
    out.scale.push_back(deviation > 1e-6 * (1e-30 + std::abs(sums[d])) ? static_cast<float>(1 / deviation) : 0.0f);
  }
  return out;
}

void squares_of(const SquareScale& scale, const float* rows, std::size_t count, std::size_t stride, std::size_t first,
                std::size_t numbers, float* out) {
  const float* const centres = scale.centre.data() + first;
  const float* const scales = scale.scale.data() + first;
  for (std::size_t i = 0; i < count; ++i) {
    const float* const row = rows + i * stride;
    float* const to = out + i * numbers;
    for (std::size_t d = 0; d < numbers; ++d) {
      const float z = (row[d] - centres[d]) * scales[d], square = z * z;
      to[d] = square < SquareScale::kLargestSquare ? square : SquareScale::kLargestSquare;
    }
  }
}

}  // namespace namm
