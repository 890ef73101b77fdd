// Statistics that are sums or copies of rows: accumulated attention (H2O, arXiv 2306.14048) and the newest row (TOVA, arXiv
// 2401.06104).
#include <algorithm>

#include "namm/statistics.hpp"

namespace namm {

void HeadStatistics::observe_sums(const float* attention, int rows, std::size_t stride) {
  const std::size_t tokens = size();
  if (settings_.needed.has(Statistic::accumulated)) {
    // row after row, so that the rounding does not depend on how the rows were split into calls
    constexpr std::size_t block = 2048;
    for (std::size_t first = 0; first < tokens; first += block) {
      const std::size_t count = std::min(block, tokens - first);
      float* sum = accumulated_.data() + first;
      for (int row = 0; row < rows; ++row) {
        const float* from = attention + static_cast<std::size_t>(row) * stride + first;
        for (std::size_t i = 0; i < count; ++i) sum[i] += from[i];
      }
    }
  }
  if (settings_.needed.has(Statistic::last_row)) {
    std::copy_n(attention + static_cast<std::size_t>(rows - 1) * stride, tokens, last_row_.data());
  }
}

}  // namespace namm
