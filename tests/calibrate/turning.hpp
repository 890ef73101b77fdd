#pragma once
// A rotary embedding of two pairs, written out.
#include <cmath>
#include <cstddef>

#include "namm/content_reader.hpp"

namespace turning {

constexpr std::size_t kSize = 4;
constexpr double kAngles[] = {0.7, 0.013};  // per position, of the pairs (0, 1) and (2, 3)

template <typename Number>
void turn_vector(Number* vector, double position) {
  for (std::size_t pair = 0; pair < kSize / 2; ++pair) {
    const double c = std::cos(kAngles[pair] * position), s = std::sin(kAngles[pair] * position);
    const double x = vector[2 * pair], y = vector[2 * pair + 1];
    vector[2 * pair] = static_cast<Number>(c * x - s * y);
    vector[2 * pair + 1] = static_cast<Number>(s * x + c * y);
  }
}

class Turning final : public namm::Rotation {
 public:
  void turn(std::span<float> vectors, std::size_t per_position, std::span<const std::int32_t> positions) const override {
    for (std::size_t p = 0; p < positions.size(); ++p)
      for (std::size_t v = 0; v < per_position; ++v) turn_vector(vectors.data() + (p * per_position + v) * kSize, positions[p]);
  }
};

/// Numbers that look random.
inline float wave(std::size_t i, double pitch) {
  return static_cast<float>(std::sin(static_cast<double>(i) * pitch + 0.3));
}

}  // namespace turning
