// Mean attention of the newest W queries (SnapKV, arXiv 2404.14469, section 4), exact at every row and without drift:
// a ring of W values per token, used as the queue-of-two-stacks trick.
//
//   slot      0 .......... b-1 | b ................ W-1        b = next slot
//   holds     newest rows, raw | suffix sums of the W-b older rows of the window
//
// Window sum = running sum of the raw part + the suffix sum in slot b. When the ring is full (b = W) it is turned into suffix
// sums in place: two additions per row and token on average, and each sum is a sum of at most W terms.
#include <algorithm>

#include "namm/statistics.hpp"

namespace namm {

void HeadStatistics::observe_window(const float* attention, int rows, std::size_t stride) {
  const std::size_t window = static_cast<std::size_t>(settings_.window_queries);
  std::size_t end_slot = 0;
  window_filled_ = static_cast<int>(std::min<std::int64_t>(std::int64_t{window_filled_} + rows, settings_.window_queries));
  for (std::size_t token = 0; token < size(); ++token) {
    float* ring = window_ring_.data() + token * window;
    float running = window_running_[token];
    std::size_t slot = static_cast<std::size_t>(window_slot_);
    for (int row = 0; row < rows; ++row) {
      const float value = attention[static_cast<std::size_t>(row) * stride + token];
      ring[slot++] = value;
      running += value;
      if (slot == window) {
        for (std::size_t i = window - 1; i > 0; --i) ring[i - 1] += ring[i];
        running = 0.0f;
        slot = 0;
      }
    }
    window_running_[token] = running;
    window_mean_[token] = (ring[slot] + running) / static_cast<float>(window_filled_);
    end_slot = slot;
  }
  window_slot_ = static_cast<int>(end_slot);
}

}  // namespace namm
