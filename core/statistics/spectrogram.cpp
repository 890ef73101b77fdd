// The attention spectrogram, streaming (arXiv 2410.13166; spec sections 1 and 2).
//
//   rows of the sequence   | 16 left | hop 1 | hop 2 | pending |      a frame = the 16 rows before a hop and the hop
//   frame of hop 1           \______________/
//   frame of hop 2                     \______________/
//
// Rows are stored as they come, one vector each; tokens that came later than a row have zeros there, which is also what the
// reference pads with. So nothing moves when tokens are appended and the kernel reads the rows of the host in place.
#include <algorithm>
#include <array>
#include <utility>

#include "kernels/spectrogram.hpp"
#include "namm/statistics.hpp"

namespace namm {
namespace {

constexpr std::size_t kFrameRows = 2 * kHop;
using Row = std::span<const float>;  // may end before the last token: zeros from there

void advance(const std::array<Row, kFrameRows>& frame, std::size_t tokens, float* ema, float decay) {
  std::array<const float*, kFrameRows> rows;
  std::size_t complete = tokens;  // tokens that every row has
  for (std::size_t m = 0; m < kFrameRows; ++m) {
    rows[m] = frame[m].data();
    complete = std::min(complete, frame[m].size());
  }
  if (complete > 0) kernels::spectrogram_frame_rows(rows.data(), ema, complete, decay);
  constexpr std::size_t block = 128;
  std::array<std::array<float, block>, kFrameRows> padded;
  for (std::size_t first = complete; first < tokens; first += block) {
    const std::size_t count = std::min(block, tokens - first);
    for (std::size_t m = 0; m < kFrameRows; ++m) {
      const std::size_t present = std::min(frame[m].size() > first ? frame[m].size() - first : 0, count);
      if (present > 0) std::copy_n(frame[m].data() + first, present, padded[m].data());
      std::fill(padded[m].begin() + static_cast<std::ptrdiff_t>(present), padded[m].end(), 0.0f);
      rows[m] = padded[m].data();
    }
    kernels::spectrogram_frame_rows(rows.data(), ema + first * kBins, count, decay);
  }
}

}  // namespace

void HeadStatistics::observe_spectrogram(const float* attention, int rows, std::size_t stride) {
  const int pending = static_cast<int>(pending_.size());
  const int frames = (pending + rows) / kHop;
  // rows by their distance from the first pending one: -16..-1 left context, then pending, then the new ones
  const auto row = [&](int index) -> Row {
    if (index < 0) return left_context_.empty() ? Row{} : Row(left_context_[static_cast<std::size_t>(index + kHop)]);
    if (index < pending) return pending_[static_cast<std::size_t>(index)];
    return {attention + static_cast<std::size_t>(index - pending) * stride, size()};
  };
  // all memory first: where the system refuses some, nothing has changed
  const int oldest = frames > 0 ? (frames - 1) * kHop : 0, first_fresh = std::max(oldest, pending);  // that is still needed
  std::vector<std::vector<float>> fresh, left, rest;
  fresh.reserve(static_cast<std::size_t>(pending + rows - first_fresh));
  for (int index = first_fresh; index < pending + rows; ++index) {
    const Row from = row(index);
    fresh.emplace_back(from.begin(), from.end());
  }
  const auto stored = [&](int index) -> std::vector<float>&& {
    return std::move(index < pending ? pending_[static_cast<std::size_t>(index)]
                                     : fresh[static_cast<std::size_t>(index - first_fresh)]);
  };
  if (frames == 0) {
    const std::size_t needed = pending_.size() + fresh.size();
    if (needed > pending_.capacity()) pending_.reserve(std::max(needed, 2 * pending_.capacity()));
    for (int index = pending; index < pending + rows; ++index) pending_.push_back(stored(index));
    return;
  }
  left.reserve(kHop);
  rest.reserve(static_cast<std::size_t>(pending + rows - frames * kHop));
  const float decay = settings_.spectrogram.decay_per_frame();
  for (int frame = 0; frame < frames; ++frame) {
    std::array<Row, kFrameRows> sources;
    for (int m = 0; m < 2 * kHop; ++m) sources[static_cast<std::size_t>(m)] = row((frame - 1) * kHop + m);
    advance(sources, size(), spectrogram_.data(), decay);
  }
  for (int index = oldest; index < frames * kHop; ++index) left.push_back(stored(index));
  for (int index = frames * kHop; index < pending + rows; ++index) rest.push_back(stored(index));
  left_context_ = std::move(left);
  pending_ = std::move(rest);
}

}  // namespace namm
