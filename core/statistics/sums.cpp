// Statistics that are sums or copies of rows: accumulated attention (H2O, arXiv 2306.14048) and the newest row (TOVA, arXiv
// 2401.06104).
#include <algorithm>
#include <stdexcept>
#include <string>

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

void HeadStatistics::observe_sums_of(std::span<const float> sums, int rows, std::span<const float> newest, int newest_rows,
                                     std::size_t stride) {
  if (settings_.needed.has(Statistic::spectrogram))
    throw std::invalid_argument("observe: the spectrogram needs every row of attention, was given sums");
  const int wanted = settings_.needed.has(Statistic::window_mean) ? std::min(rows, settings_.window_queries)
                     : settings_.needed.has(Statistic::last_row)  ? std::min(rows, 1)
                                                                  : 0;
  const bool adds = settings_.needed.has(Statistic::accumulated);
  if ((adds && sums.size() < size()) || newest_rows < wanted || newest_rows > rows || (newest_rows > 0 && stride < size()) ||
      newest.size() < static_cast<std::size_t>(newest_rows) * stride)
    throw std::invalid_argument("observe: must be given sums of " + std::to_string(size()) + " tokens and the newest " +
                                std::to_string(wanted) + " rows, has " + std::to_string(sums.size()) + " sums and " +
                                std::to_string(newest_rows) + " rows");
  if (adds)
    for (std::size_t i = 0; i < size(); ++i) accumulated_[i] += sums[i];
  if (wanted == 0) return;
  const float* const from = newest.data() + static_cast<std::size_t>(newest_rows - wanted) * stride;
  if (settings_.needed.has(Statistic::window_mean)) observe_window(from, wanted, stride);
  if (settings_.needed.has(Statistic::last_row))
    std::copy_n(newest.data() + static_cast<std::size_t>(newest_rows - 1) * stride, size(), last_row_.data());
}

}  // namespace namm
