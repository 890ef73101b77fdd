#include "adapters/llama_cpp/store/row_slots.hpp"

#include <algorithm>
#include <stdexcept>

namespace namm::llama {

void RowSlots::take(std::int32_t list, std::span<const std::int32_t> cells, std::int32_t first_cell) {
  // all memory first: where the system refuses some, nothing has changed
  for (const std::int32_t cell : cells) {
    const auto c = static_cast<std::size_t>(first_cell + cell);
    if (slot_of_cell_.size() <= c) slot_of_cell_.resize(c + 1, kFree);
  }
  const std::size_t free = cells_.size() - used_, needed = cells_.size() + cells.size() - std::min(free, cells.size());
  for (auto* const slots : {&cells_, &lists_of_})
    if (needed > slots->capacity()) slots->reserve(std::max(needed, 2 * slots->capacity()));
  for (const std::int32_t cell : cells) {
    const auto c = static_cast<std::size_t>(first_cell + cell);
    if (slot_of_cell_[c] != kFree) throw std::logic_error("KV cache: a cell has an entry already");
    while (lowest_free_ < cells_.size() && cells_[lowest_free_] != kFree) ++lowest_free_;
    if (lowest_free_ == cells_.size()) {
      cells_.push_back(kFree);
      lists_of_.push_back(0);
    }
    cells_[lowest_free_] = first_cell + cell;
    lists_of_[lowest_free_] = list;
    slot_of_cell_[c] = static_cast<std::int32_t>(lowest_free_);
    ++used_;
    ++changes_.taken;
  }
}

void RowSlots::free_slot(std::int32_t slot) {
  const auto s = static_cast<std::size_t>(slot);
  slot_of_cell_[static_cast<std::size_t>(cells_[s])] = kFree;
  cells_[s] = kFree;
  lowest_free_ = std::min(lowest_free_, s);
  --used_;
  ++changes_.other;
}

void RowSlots::trim() {
  while (!cells_.empty() && cells_.back() == kFree) cells_.pop_back();
  lists_of_.resize(cells_.size());
  lowest_free_ = std::min(lowest_free_, cells_.size());
}

void RowSlots::release(std::span<const std::int32_t> cells, std::int32_t first_cell) {
  for (const std::int32_t cell : cells) free_slot(slot_of(first_cell + cell));
  trim();
}

void RowSlots::leave(std::int32_t list) {
  for (std::size_t s = 0; s < cells_.size(); ++s)
    if (cells_[s] != kFree && lists_of_[s] == list) free_slot(static_cast<std::int32_t>(s));
  trim();
}

std::vector<std::int32_t> RowSlots::in_use() const {
  std::vector<std::int32_t> out;
  for (std::size_t s = 0; s < cells_.size(); ++s)
    if (cells_[s] != kFree) out.push_back(static_cast<std::int32_t>(s));
  return out;
}

void RowSlots::close_gaps() {
  ++changes_.other;
  std::size_t to = 0;
  for (std::size_t s = 0; s < cells_.size(); ++s) {
    if (cells_[s] == kFree) continue;
    cells_[to] = cells_[s];
    lists_of_[to] = lists_of_[s];
    slot_of_cell_[static_cast<std::size_t>(cells_[to])] = static_cast<std::int32_t>(to);
    ++to;
  }
  cells_.resize(to);
  lists_of_.resize(to);
  lowest_free_ = to;
}

}  // namespace namm::llama
