#include "namm/statistics.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

#include "core/statistics/growth.hpp"

namespace namm {
namespace {

using detail::bytes_of;
using detail::extend;
using detail::gather;
using detail::make_room;
using detail::shorten;

void check(const StatisticsSettings& settings) {
  const SpectrogramSettings& spectrogram = settings.spectrogram;
  if (spectrogram.fft_size != 2 * kHop) {
    throw std::invalid_argument("spectrogram: fft_size must be 32, is " + std::to_string(spectrogram.fft_size));
  }
  if (spectrogram.hop != kHop) {
    throw std::invalid_argument("spectrogram: hop must be 16, is " + std::to_string(spectrogram.hop));
  }
  if (!(spectrogram.decay > 0.0f && spectrogram.decay < 1.0f)) {
    throw std::invalid_argument("spectrogram: decay must be between 0 and 1, is " + std::to_string(spectrogram.decay));
  }
  if (settings.window_queries < 1) {
    throw std::invalid_argument("statistics: window_queries must be at least 1, is " + std::to_string(settings.window_queries));
  }
}

void check_count(std::span<const float> norms, std::size_t count, const char* what) {
  if (norms.size() == count) return;
  throw std::invalid_argument("append: " + std::string(what) + " must have one value per token (" + std::to_string(count) +
                              "), has " + std::to_string(norms.size()));
}

template <typename T>
void append_copies(std::vector<T>& to, std::span<const T> values) {
  extend(to, values.size(), T{});
  std::copy(values.begin(), values.end(), to.end() - static_cast<std::ptrdiff_t>(values.size()));
}

}  // namespace

HeadStatistics::HeadStatistics(const StatisticsSettings& settings) : settings_(settings) {
  check(settings);
}

void HeadStatistics::append(std::span<const std::int32_t> positions, std::span<const float> key_norms,
                            std::span<const float> value_norms, std::span<const float> content) {
  const StatisticSet needed = settings_.needed;
  const std::size_t before = size(), count = positions.size();
  for (std::size_t i = 0; i < count; ++i) {
    const std::int32_t previous = i > 0 ? positions[i - 1] : before > 0 ? positions_.back() : -1;
    if (positions[i] <= previous) {
      throw std::invalid_argument("append: positions must ascend from above " + std::to_string(previous) + ", found " +
                                  std::to_string(positions[i]));
    }
  }
  if (needed.has(Statistic::key_norm)) check_count(key_norms, count, "key_norms");
  if (needed.has(Statistic::value_norm)) check_count(value_norms, count, "value_norms");
  if (needed.has(Statistic::content)) check_count(content, count, "content");
  // all memory first: where the system refuses some, nothing has changed
  make_room(positions_, count);
  if (needed.has(Statistic::spectrogram)) make_room(spectrogram_, count * kBins);
  for (const auto& [statistic, values] : {std::pair{Statistic::key_norm, &key_norm_},
                                          {Statistic::value_norm, &value_norm_},
                                          {Statistic::content, &content_},
                                          {Statistic::accumulated, &accumulated_},
                                          {Statistic::last_row, &last_row_},
                                          {Statistic::queries_seen, &queries_seen_},
                                          {Statistic::window_mean, &window_mean_},
                                          {Statistic::window_mean, &window_running_}})
    if (needed.has(statistic)) make_room(*values, count);
  if (needed.has(Statistic::window_mean)) make_room(window_ring_, count * static_cast<std::size_t>(settings_.window_queries));
  append_copies(positions_, positions);
  if (needed.has(Statistic::key_norm)) append_copies(key_norm_, key_norms);
  if (needed.has(Statistic::value_norm)) append_copies(value_norm_, value_norms);
  if (needed.has(Statistic::content)) append_copies(content_, content);
  if (needed.has(Statistic::spectrogram)) extend(spectrogram_, count * kBins, 0.0f);
  if (needed.has(Statistic::accumulated)) extend(accumulated_, count, 0.0f);
  if (needed.has(Statistic::last_row)) extend(last_row_, count, 0.0f);
  if (needed.has(Statistic::window_mean)) {
    extend(window_mean_, count, 0.0f);
    extend(window_running_, count, 0.0f);
    extend(window_ring_, count * static_cast<std::size_t>(settings_.window_queries), 0.0f);
  }
  if (needed.has(Statistic::queries_seen)) {
    // every new token is a query of all older ones and of itself
    for (float& seen : queries_seen_) seen += static_cast<float>(count);
    extend(queries_seen_, count, 0.0f);
    for (std::size_t i = 0; i < count; ++i) queries_seen_[before + i] = static_cast<float>(count - i);
  }
}

void HeadStatistics::observe(std::span<const float> attention, int rows, std::size_t stride, std::int32_t first_position) {
  if (rows < 0) throw std::invalid_argument("observe: rows must be 0 or more, is " + std::to_string(rows));
  if (rows == 0) return;
  const std::size_t row_count = static_cast<std::size_t>(rows);
  if (stride < size()) {
    throw std::invalid_argument("observe: stride must be at least the number of tokens " + std::to_string(size()) + ", is " +
                                std::to_string(stride));
  }
  if (attention.size() < (row_count - 1) * stride + size()) {
    throw std::invalid_argument("observe: attention must hold " + std::to_string((row_count - 1) * stride + size()) +
                                " values, holds " + std::to_string(attention.size()));
  }
  if (size() == 0 || std::int64_t{first_position} + rows - 1 > positions_.back()) {
    throw std::invalid_argument("observe: the token of query " + std::to_string(std::int64_t{first_position} + rows - 1) +
                                " is not there; append the tokens before their rows");
  }
  if (settings_.needed.has(Statistic::spectrogram)) observe_spectrogram(attention.data(), rows, stride);
  if (settings_.needed.has(Statistic::window_mean)) observe_window(attention.data(), rows, stride);
  observe_sums(attention.data(), rows, stride);
}

void HeadStatistics::take_back(std::size_t count) {
  if (count > size())
    throw std::invalid_argument("take_back: there must be as many tokens, are " + std::to_string(size()) + ", was told " +
                                std::to_string(count));
  const std::size_t rest = size() - count;
  shorten(positions_, rest);
  shorten(spectrogram_, rest * kBins);
  for (auto* const rows : {&left_context_, &pending_})
    for (std::vector<float>& row : *rows) shorten(row, rest);
  for (std::vector<float>* values :
       {&accumulated_, &queries_seen_, &last_row_, &window_mean_, &key_norm_, &value_norm_, &content_, &window_running_})
    shorten(*values, rest);
  shorten(window_ring_, rest * static_cast<std::size_t>(settings_.window_queries));
  for (float& seen : queries_seen_) seen -= static_cast<float>(count);
}

void HeadStatistics::keep(std::span<const std::int32_t> kept) {
  for (std::size_t i = 0; i < kept.size(); ++i) {
    if (kept[i] < 0 || static_cast<std::size_t>(kept[i]) >= size() || (i > 0 && kept[i] <= kept[i - 1])) {
      throw std::invalid_argument("keep: indices must ascend and be below " + std::to_string(size()) + ", found " +
                                  std::to_string(kept[i]));
    }
  }
  gather(positions_, 1, kept);
  gather(spectrogram_, kBins, kept);
  for (std::vector<float>& row : left_context_) gather(row, 1, kept);
  for (std::vector<float>& row : pending_) gather(row, 1, kept);
  for (std::vector<float>* values :
       {&accumulated_, &queries_seen_, &last_row_, &window_mean_, &key_norm_, &value_norm_, &content_}) {
    gather(*values, 1, kept);
  }
  gather(window_running_, 1, kept);
  gather(window_ring_, static_cast<std::size_t>(settings_.window_queries), kept);
}

std::size_t HeadStatistics::bytes() const {
  std::size_t sum = bytes_of(positions_) + bytes_of(left_context_) + bytes_of(pending_);
  for (const std::vector<float>& row : left_context_) sum += bytes_of(row);
  for (const std::vector<float>& row : pending_) sum += bytes_of(row);
  for (const std::vector<float>* values : {&spectrogram_, &accumulated_, &queries_seen_, &last_row_, &window_mean_, &key_norm_,
                                           &value_norm_, &content_, &window_ring_, &window_running_}) {
    sum += bytes_of(*values);
  }
  return sum;
}

HeadTokens HeadStatistics::view() const {
  HeadTokens tokens;
  tokens.positions = positions_;
  tokens.spectrogram = spectrogram_;
  tokens.accumulated = accumulated_;
  tokens.queries_seen = queries_seen_;
  tokens.last_row = last_row_;
  tokens.window_mean = window_mean_;
  tokens.key_norm = key_norm_;
  tokens.value_norm = value_norm_;
  tokens.content = content_;
  return tokens;
}

}  // namespace namm
