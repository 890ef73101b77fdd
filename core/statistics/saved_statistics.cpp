// The statistics of one head as bytes, for saved sessions: exactly what the next query would find.
#include "base/bytes.hpp"
#include "namm/statistics.hpp"

namespace namm {
namespace {

void write_rows(ByteWriter& out, const std::vector<std::vector<float>>& rows) {
  out.number<std::uint32_t>(static_cast<std::uint32_t>(rows.size()));
  for (const std::vector<float>& row : rows) {
    out.number<std::uint64_t>(row.size());
    out.numbers(row);
  }
}

/// Rows may end before the newest tokens, never behind them.
std::vector<std::vector<float>> read_rows(ByteReader& in, std::uint32_t count, std::size_t tokens) {
  std::vector<std::vector<float>> rows;
  for (std::uint32_t i = 0; i < count; ++i)
    rows.push_back(in.numbers<float>(in.number<std::uint64_t>("length of a row of attention", 0, tokens)));
  return rows;
}

}  // namespace

void HeadStatistics::save(ByteWriter& out) const {
  out.number<std::uint64_t>(size());
  out.numbers(positions_);
  for (const auto* values : {&spectrogram_, &accumulated_, &queries_seen_, &last_row_, &window_mean_, &key_norm_, &value_norm_,
                             &content_, &window_ring_, &window_running_})
    out.numbers(*values);
  out.number<std::int32_t>(window_slot_);
  out.number<std::int32_t>(window_filled_);
  write_rows(out, left_context_);
  write_rows(out, pending_);
}

void HeadStatistics::restore(ByteReader& in) {
  HeadStatistics fresh(settings_);
  const std::uint64_t count = in.number<std::uint64_t>();
  fresh.positions_ = in.numbers<std::int32_t>(count);
  for (std::size_t i = 0; i < count; ++i)
    if (fresh.positions_[i] <= (i > 0 ? fresh.positions_[i - 1] : -1))
      throw std::runtime_error("saved state: positions must ascend from 0, found " + std::to_string(fresh.positions_[i]) +
                               "; the file is damaged, save it again");
  const auto read = [&](Statistic which, std::vector<float>& values, std::size_t width) {
    if (settings_.needed.has(which)) values = in.numbers<float>(count * width);
  };
  read(Statistic::spectrogram, fresh.spectrogram_, kBins);
  read(Statistic::accumulated, fresh.accumulated_, 1);
  read(Statistic::queries_seen, fresh.queries_seen_, 1);
  read(Statistic::last_row, fresh.last_row_, 1);
  read(Statistic::window_mean, fresh.window_mean_, 1);
  read(Statistic::key_norm, fresh.key_norm_, 1);
  read(Statistic::value_norm, fresh.value_norm_, 1);
  read(Statistic::content, fresh.content_, 1);
  read(Statistic::window_mean, fresh.window_ring_, static_cast<std::size_t>(settings_.window_queries));
  read(Statistic::window_mean, fresh.window_running_, 1);
  fresh.window_slot_ = in.number<std::int32_t>("slot of the window", 0, settings_.window_queries - 1);
  fresh.window_filled_ = in.number<std::int32_t>("rows of the window", 0, settings_.window_queries);
  const auto left = in.number<std::uint32_t>("rows before the hop", 0, kHop);
  if (left != 0 && left != kHop)
    throw std::runtime_error("saved state: rows before the hop must be 0 or 16, are " + std::to_string(left) +
                             "; the file is damaged, save it again");
  fresh.left_context_ = read_rows(in, left, count);
  fresh.pending_ = read_rows(in, in.number<std::uint32_t>("rows of the hop", 0, kHop - 1), count);
  *this = std::move(fresh);
}

}  // namespace namm
