#include "adapters/llama_cpp/store/head_list.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "kernels/half.hpp"

namespace namm::llama {
namespace {

using kernels::kBlock;

float norm(const std::uint16_t* row, std::size_t size) {
  double sum = 0;
  for (std::size_t d = 0; d < size; ++d) {
    const double x = kernels::half_to_float(row[d]);
    sum += x * x;
  }
  return static_cast<float>(std::sqrt(sum));
}

std::vector<float> norms(bool needed, HalfRows rows, std::size_t size, std::size_t count) {
  std::vector<float> out(needed ? count : 0);
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = norm(rows.data + i * rows.stride, size);
  return out;
}

/// A row as it is held, in `memory` if it is not held as it comes.
const std::byte* packed(RowFormat format, const std::uint16_t* halves, std::size_t size, std::vector<std::byte>& memory) {
  if (format == RowFormat::f16) return reinterpret_cast<const std::byte*>(halves);
  kernels::pack_row(format, halves, size, memory.data());
  return memory.data();
}

}  // namespace

HeadList::HeadList(std::size_t key_size, std::size_t value_size, const StatisticsSettings& statistics,
                   const std::shared_ptr<PageRegion>& region, RowFormats formats)
    : key_size_(key_size),
      value_size_(value_size),
      formats_(formats),
      keys_(region),
      values_(region),
      statistics_(statistics),
      means_(static_cast<std::size_t>(formats.means)) {}

HeadList::HeadList(std::size_t key_size, std::size_t value_size, const StatisticsSettings& statistics, RowLease lease,
                   const std::shared_ptr<PageRegion>& region)
    : HeadList(key_size, value_size, statistics, region) {
  lease_ = std::move(lease);
}

void HeadList::reserve(std::size_t entries) {
  if (lease_) return;
  const std::size_t held = kernels::blocks_of(entries) * kBlock;
  keys_.resize(held * key_bytes());
  values_.resize(held * value_bytes());
}

void HeadList::append(std::span<const std::int32_t> cells, std::span<const std::int32_t> positions, HalfRows keys,
                      HalfRows values, std::span<const float> content) {
  const StatisticSet needed = statistics_.settings().needed;
  const std::size_t before = size(), after = before + cells.size();
  // all memory first: where the system refuses some, the list is as it was
  std::vector<std::byte> key(key_bytes()), value(value_bytes());
  if (after > cells_.capacity()) cells_.reserve(std::max(after, 2 * cells_.capacity()));
  reserve(after);
  const std::vector<float> key_norms = norms(needed.has(Statistic::key_norm), keys, key_size_, cells.size()),
                           value_norms = norms(needed.has(Statistic::value_norm), values, value_size_, cells.size());
  if (lease_) lease_.take(cells);
  try {
    statistics_.append(positions, key_norms, value_norms, content);
  } catch (...) {
    if (lease_) lease_.release(cells);
    throw;
  }
  cells_.insert(cells_.end(), cells.begin(), cells.end());
  if (lease_) return;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    put(before + i, packed(formats_.keys, keys.data + i * keys.stride, key_size_, key),
        packed(formats_.values, values.data + i * values.stride, value_size_, value));
  }
}

void HeadList::put(std::size_t entry, const std::byte* key, const std::byte* value) {
  kernels::put_key(keys_.data(), formats_.keys, key_size_, entry, key);
  kernels::put_value(values_.data(), formats_.values, value_size_, entry, value);
  values_overflow_ = values_overflow_ || !kernels::row_is_finite(formats_.values, value, value_size_);
}

void HeadList::open(bool observes) {
  commit();
  Open from;
  from.entries = size();
  if (observes) from.statistics = statistics_;
  open_ = std::move(from);
}

void HeadList::observe_later(std::vector<float> attention, int rows, std::int32_t first_position) {
  if (!open_) return statistics_.observe(attention, rows, size(), first_position);
  open_->attention = std::move(attention);
  open_->rows = rows;
  open_->first_position = first_position;
}

void HeadList::commit() {
  if (!open_) return;
  statistics_.observe(open_->attention, open_->rows, size(), open_->first_position);  // where memory is refused it waits on
  open_.reset();
}

void HeadList::take_back() {
  if (!open_) return;
  Open open = std::move(*open_);
  open_.reset();
  if (open.statistics)
    statistics_ = std::move(*open.statistics);
  else
    statistics_.take_back(size() - open.entries);
  if (lease_) lease_.release(std::span(cells_).subspan(open.entries));
  cells_.resize(open.entries);
  reserve(open.entries);
}

std::size_t HeadList::bookkeeping_bytes() const {
  std::size_t bytes = cells_.capacity() * sizeof(std::int32_t) + statistics_.bytes();
  if (open_) bytes += open_->attention.capacity() * sizeof(float) + (open_->statistics ? open_->statistics->bytes() : 0);
  return bytes;
}

void HeadList::keep(std::span<const std::int32_t> kept) {
  commit();
  if (kept.size() == size()) return;
  if (lease_) {
    for (std::size_t e = 0, next = 0; e < size(); ++e)
      if (next < kept.size() && static_cast<std::size_t>(kept[next]) == e)
        ++next;
      else
        lease_.release({&cells_[e], 1});
  } else {
    kernels::compact_keys(keys_.data(), formats_.keys, key_size_, kept);
    kernels::compact_values(values_.data(), formats_.values, value_size_, kept);
  }
  for (std::size_t to = 0; to < kept.size(); ++to) cells_[to] = cells_[static_cast<std::size_t>(kept[to])];
  cells_.resize(kept.size());
  cells_.shrink_to_fit();
  statistics_.keep(kept);
  reserve(kept.size());
}

void HeadList::evict(std::span<const std::int32_t> kept) {
  std::vector<std::int32_t> evicted;
  for (std::size_t e = 0, next = 0; means_.limit() > 0 && e < size(); ++e)
    if (next < kept.size() && static_cast<std::size_t>(kept[next]) == e)
      ++next;
    else
      evicted.push_back(static_cast<std::int32_t>(e));
  EvictedMeans with = means_;
  with.absorb(view(), evicted);
  keep(kept);
  means_ = std::move(with);
}

HeadList HeadList::duplicate(const std::shared_ptr<PageRegion>& region, std::vector<std::byte> held) const {
  HeadList out(key_size_, value_size_, statistics_.settings(), region, formats_);
  out.means_ = means_;
  out.cells_ = cells_;
  out.statistics_ = statistics_;
  out.values_overflow_ = values_overflow_;
  out.restored_ = std::move(held);
  if (lease_ || size() == 0) return out;
  out.reserve(size());
  const std::size_t rows = kernels::blocks_of(size()) * kBlock;
  std::memcpy(out.keys_.data(), keys_.data(), rows * key_bytes());
  std::memcpy(out.values_.data(), values_.data(), rows * value_bytes());
  return out;
}

HeadList HeadList::copy(std::span<const std::int32_t> kept, const std::shared_ptr<PageRegion>& region) const {
  HeadList out(key_size_, value_size_, {}, region, formats_);
  const auto positions = statistics_.view().positions;
  std::vector<std::int32_t> kept_positions;
  for (const std::int32_t index : kept) {
    out.cells_.push_back(cells_[static_cast<std::size_t>(index)]);
    kept_positions.push_back(positions[static_cast<std::size_t>(index)]);
  }
  out.statistics_.append(kept_positions, {}, {});
  out.reserve(kept.size());
  std::vector<std::byte> key(key_bytes()), value(value_bytes());
  for (std::size_t to = 0; to < kept.size(); ++to) {
    const auto e = static_cast<std::size_t>(kept[to]);
    kernels::take_key(keys_.data(), formats_.keys, key_size_, e, key.data());
    kernels::take_value(values_.data(), formats_.values, value_size_, e, value.data());
    out.put(to, key.data(), value.data());
  }
  return out;
}

kernels::RaggedHead HeadList::view() const {
  kernels::RaggedHead head;
  head.keys = reinterpret_cast<const std::uint16_t*>(keys_.data());
  head.values = reinterpret_cast<const std::uint16_t*>(values_.data());
  head.count = size();
  head.key_size = key_size_;
  head.value_size = value_size_;
  head.values_overflow = values_overflow_;
  head.key_format = formats_.keys;
  head.value_format = formats_.values;
  return head;
}

}  // namespace namm::llama
