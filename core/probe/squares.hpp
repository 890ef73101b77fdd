#pragma once
#include <cstddef>
#include <span>
#include <vector>

namespace namm {

/// What makes squares of a token's numbers comparable: min(((x - centre) * scale)^2, kLargestSquare). A square adds what no
/// linear read-out has: that a key is far from the usual ones, in either direction. The bound keeps outliers of some keys (sinks,
/// large channels) from deciding the fit.
struct SquareScale {
  static constexpr float kLargestSquare = 25.0f;
  std::vector<float> centre, scale;  ///< per number of a row
  bool empty() const { return centre.empty(); }
};

/// Mean and inverse deviation of the numbers of `rows`, [count][width]; a number that does not vary gets scale 0.
SquareScale scale_of(std::span<const float> rows, std::size_t width);

/// out: [count][numbers], the squares of numbers [first, first + numbers) of the scale; `rows` points at the first of them,
/// `stride` floats between rows.
void squares_of(const SquareScale& scale, const float* rows, std::size_t count, std::size_t stride, std::size_t first,
                std::size_t numbers, float* out);

}  // namespace namm
