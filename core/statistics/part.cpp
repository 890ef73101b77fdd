// Attention of a part of a batch of which most rows are elsewhere: their sums, their frames and the rows at both ends say the
// same.
#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>
#include <utility>

#include "namm/statistics.hpp"

namespace namm {

float SpectrogramSettings::decay_per_frame() const {
  return static_cast<float>(std::pow(double{decay}, hop));
}

RowsAtHand HeadStatistics::rows_wanted(int rows) const {
  const StatisticSet needed = settings_.needed;
  RowsAtHand out;
  if (needed.has(Statistic::last_row)) out.newest = 1;
  if (needed.has(Statistic::window_mean)) out.newest = settings_.window_queries;
  if (!needed.has(Statistic::spectrogram)) {
    out.newest = std::min(out.newest, rows);
    return out;
  }
  // the incomplete hop is here: a frame that it is in is made here, the others where their rows are
  out.hops_from = (kHop - waiting_rows()) % kHop;
  const int whole = std::max(0, rows - out.hops_from);
  out.hops = whole / kHop;
  out.first = out.hops_from + kHop;
  out.newest = std::max(out.newest, kHop + whole % kHop);
  if (out.first + out.newest + kBins < rows) return out;
  return {0, rows, 0, 0};  // frames would be more numbers than the rows
}

void HeadStatistics::observe_part(const ObservedPart& part) {
  if (part.rows < 0) throw std::invalid_argument("observe: rows must be 0 or more, is " + std::to_string(part.rows));
  const RowsAtHand wanted = rows_wanted(part.rows);
  const auto at_hand = static_cast<std::size_t>(wanted.first) + static_cast<std::size_t>(wanted.newest);
  const auto require = [](const char* what, std::size_t needed, std::size_t has) {
    if (has < needed)
      throw std::invalid_argument(std::string("observe: must be given ").append(what) + ", " + std::to_string(needed) +
                                  " values, has " + std::to_string(has));
  };
  if (settings_.needed.has(Statistic::accumulated)) require("sums of all rows", size(), part.sums.size());
  if (at_hand > 0) require("rows as long as the tokens", size(), part.stride);
  if (at_hand > 0) require("the rows at both ends", (at_hand - 1) * part.stride + size(), part.at_hand.size());
  if (wanted.hops > 0) require("frames of the rows between", size() * kBins, part.frames.size());

  const auto newest = [&](int rows) { return part.at_hand.data() + (at_hand - static_cast<std::size_t>(rows)) * part.stride; };
  if (wanted.hops > 0)
    observe_frames(part, wanted);  // first: it asks for memory
  else if (settings_.needed.has(Statistic::spectrogram) && part.rows > 0)
    observe_spectrogram(newest(part.rows), part.rows, part.stride);
  if (settings_.needed.has(Statistic::accumulated))
    for (std::size_t i = 0; i < size(); ++i) accumulated_[i] += part.sums[i];
  if (const int rows = std::min(part.rows, settings_.window_queries); settings_.needed.has(Statistic::window_mean) && rows > 0)
    observe_window(newest(rows), rows, part.stride);
  if (settings_.needed.has(Statistic::last_row) && part.rows > 0) std::copy_n(newest(1), size(), last_row_.data());
}

void HeadStatistics::observe_frames(const ObservedPart& part, const RowsAtHand& rows) {
  // all memory first: where the system refuses some, nothing has changed
  std::vector<std::vector<float>> left, rest;
  const int waiting = (part.rows - rows.hops_from) % kHop;
  const auto row = [&](int from_end) {
    const float* const at = part.at_hand.data() + static_cast<std::size_t>(rows.first + rows.newest - from_end) * part.stride;
    return std::vector<float>(at, at + size());
  };
  for (int back = kHop + waiting; back > waiting; --back) left.push_back(row(back));
  for (int back = waiting; back > 0; --back) rest.push_back(row(back));
  observe_spectrogram(part.at_hand.data(), rows.first, part.stride);
  const auto fade = static_cast<float>(std::pow(double{settings_.spectrogram.decay_per_frame()}, rows.hops - 1));
  for (std::size_t i = 0; i < spectrogram_.size(); ++i) spectrogram_[i] = fade * spectrogram_[i] + part.frames[i];
  left_context_ = std::move(left);
  pending_ = std::move(rest);
}

}  // namespace namm
