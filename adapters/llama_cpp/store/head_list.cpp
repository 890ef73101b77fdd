#include "adapters/llama_cpp/store/head_list.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "kernels/compaction.hpp"
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

}  // namespace

HeadList::HeadList(std::size_t key_size, std::size_t value_size, const StatisticsSettings& statistics,
                   const std::shared_ptr<PageRegion>& region)
    : key_size_(key_size), value_size_(value_size), keys_(region), values_(region), statistics_(statistics) {}

HeadList::HeadList(std::size_t key_size, std::size_t value_size, const StatisticsSettings& statistics, RowLease lease,
                   const std::shared_ptr<PageRegion>& region)
    : HeadList(key_size, value_size, statistics, region) {
  lease_ = std::move(lease);
}

void HeadList::reserve(std::size_t entries) {
  if (lease_) return;
  const std::size_t blocks = kernels::blocks_of(entries);
  keys_.resize(blocks * kBlock * key_size_ * sizeof(std::uint16_t));
  values_.resize(blocks * kBlock * value_size_ * sizeof(std::uint16_t));
}

void HeadList::append(std::span<const std::int32_t> cells, std::span<const std::int32_t> positions, HalfRows keys,
                      HalfRows values, std::span<const float> content) {
  const StatisticSet needed = statistics_.settings().needed;
  const std::size_t before = size(), after = before + cells.size();
  // all memory first: where the system refuses some, the list is as it was
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
    const std::size_t e = before + i;
    std::uint16_t* const column = this->keys() + e / kBlock * key_size_ * kBlock + e % kBlock;
    for (std::size_t d = 0; d < key_size_; ++d) column[d * kBlock] = keys.data[i * keys.stride + d];
    const std::uint16_t* const row = values.data + i * values.stride;
    std::memcpy(this->values() + e * value_size_, row, value_size_ * sizeof(std::uint16_t));
    look_at_value(row);
  }
}

void HeadList::look_at_value(const std::uint16_t* row) {
  bool finite = true;
  for (std::size_t d = 0; d < value_size_; ++d) finite &= (row[d] & 0x7c00u) != 0x7c00u;
  values_overflow_ = values_overflow_ || !finite;
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
    kernels::compact_blocks(keys(), key_size_, kept);
    kernels::compact_rows(values_.data(), value_size_ * sizeof(std::uint16_t), value_size_ * sizeof(std::uint16_t), kept);
  }
  for (std::size_t to = 0; to < kept.size(); ++to) cells_[to] = cells_[static_cast<std::size_t>(kept[to])];
  cells_.resize(kept.size());
  cells_.shrink_to_fit();
  statistics_.keep(kept);
  reserve(kept.size());
}

HeadList HeadList::duplicate(const std::shared_ptr<PageRegion>& region) const {
  HeadList out(key_size_, value_size_, statistics_.settings(), region);
  out.cells_ = cells_;
  out.statistics_ = statistics_;
  out.values_overflow_ = values_overflow_;
  out.reserve(size());
  if (size() == 0) return out;
  std::memcpy(out.keys(), keys_.data(), kernels::blocks_of(size()) * kBlock * key_size_ * sizeof(std::uint16_t));
  std::memcpy(out.values(), values_.data(), size() * value_size_ * sizeof(std::uint16_t));
  return out;
}

HeadList HeadList::copy(std::span<const std::int32_t> kept, const std::shared_ptr<PageRegion>& region) const {
  HeadList out(key_size_, value_size_, {}, region);
  out.values_overflow_ = values_overflow_;
  const kernels::RaggedHead from = view();
  const auto positions = statistics_.view().positions;
  std::vector<std::int32_t> kept_positions;
  for (const std::int32_t index : kept) {
    out.cells_.push_back(cells_[static_cast<std::size_t>(index)]);
    kept_positions.push_back(positions[static_cast<std::size_t>(index)]);
  }
  out.statistics_.append(kept_positions, {}, {});
  out.reserve(kept.size());
  if (kept.size() == size()) {
    std::memcpy(out.keys(), from.keys, kernels::blocks_of(size()) * kBlock * key_size_ * sizeof(std::uint16_t));
    std::memcpy(out.values(), from.values, size() * value_size_ * sizeof(std::uint16_t));
    return out;
  }
  for (std::size_t to = 0; to < kept.size(); ++to) {
    const auto e = static_cast<std::size_t>(kept[to]);
    const std::uint16_t* const column = from.keys + e / kBlock * key_size_ * kBlock + e % kBlock;
    std::uint16_t* const target = out.keys() + to / kBlock * key_size_ * kBlock + to % kBlock;
    for (std::size_t d = 0; d < key_size_; ++d) target[d * kBlock] = column[d * kBlock];
    std::memcpy(out.values() + to * value_size_, from.values + e * value_size_, value_size_ * sizeof(std::uint16_t));
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
  return head;
}

}  // namespace namm::llama
