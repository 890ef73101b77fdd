#pragma once
#include <algorithm>
#include <cstddef>
#include <span>

namespace namm::detail {

/// Mean over `neighbours` (odd) cached neighbours, centred, clipped at the ends, written to every width-th place of `to`.
template <typename T>
void write_neighbour_means(std::span<const T> values, std::size_t neighbours, float* to, std::size_t width) {
  const std::size_t radius = neighbours / 2;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::size_t begin = i - std::min(i, radius), end = std::min(i + radius + 1, values.size());
    double sum = 0;
    for (std::size_t j = begin; j < end; ++j) sum += static_cast<double>(values[j]);
    to[i * width] = static_cast<float>(sum / static_cast<double>(end - begin));
  }
}

}  // namespace namm::detail
