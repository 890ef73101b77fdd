#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace namm::llama {

/// Where the rows of one (layer, KV head) lie if a device holds them: entries of all lists share one array, each row in a slot of
/// its own, in any order. An entry is known by its cell, of which there is one at a time.
///
///     slot    0    1    2    3    4
///     cell    7    2    .    5    .       . = free, taken before the array grows
class RowSlots {
 public:
  static constexpr std::int32_t kFree = -1;

  /// `row_bytes`: of the key and the value in a slot.
  explicit RowSlots(std::size_t row_bytes = 0) : row_bytes_(row_bytes) {}
  std::size_t row_bytes() const { return row_bytes_; }

  /// Gives the lowest free slots to new entries in these cells, in order, for a list with that number.
  /// `first_cell` is added to each of them.
  void take(std::int32_t list, std::span<const std::int32_t> cells, std::int32_t first_cell = 0);
  /// The entries in these cells go. Needs no memory.
  void release(std::span<const std::int32_t> cells, std::int32_t first_cell = 0);
  /// A number for one more list, and the end of all its entries.
  std::int32_t add_list() { return lists_++; }
  void leave(std::int32_t list);

  /// The slot of a cell that has an entry.
  std::int32_t slot_of(std::int32_t cell) const { return slot_of_cell_[static_cast<std::size_t>(cell)]; }
  /// The slot of any cell; kFree if it has no entry.
  std::int32_t slot_at(std::int32_t cell) const {
    return static_cast<std::size_t>(cell) < slot_of_cell_.size() ? slot_of(cell) : kFree;
  }
  /// [slot] the cell of its entry, kFree if there is none. As long as the highest slot in use requires.
  std::span<const std::int32_t> cells() const { return cells_; }
  std::size_t used() const { return used_; }
  /// What has happened so far. Where only `taken` has grown since, everything lies where it lay, and that many cells were added.
  struct Changes {
    std::uint64_t taken = 0, other = 0;
    bool operator==(const Changes&) const = default;
  };
  const Changes& changes() const { return changes_; }
  /// Slots with an entry, ascending: where the rows come from if the gaps between them are closed.
  std::vector<std::int32_t> in_use() const;
  /// Lets entries follow one another without free slots between, in the order of in_use().
  void close_gaps();
  std::size_t bytes() const {
    return (cells_.capacity() + lists_of_.capacity() + slot_of_cell_.capacity()) * sizeof(std::int32_t);
  }

 private:
  void free_slot(std::int32_t slot);
  void trim();

  std::size_t row_bytes_;
  std::vector<std::int32_t> cells_, lists_of_;  // [slot]
  std::vector<std::int32_t> slot_of_cell_;      // [cell], kFree
  std::size_t used_ = 0;
  std::size_t lowest_free_ = 0;  // no slot below it is free
  std::int32_t lists_ = 0;
  Changes changes_;
};

/// The slots of one list: given back when the list goes. Empty where the list holds its rows itself.
class RowLease {
 public:
  RowLease() = default;
  /// `first_cell`: of the list's own stream, whose cells it counts from 0; the array counts those of all streams.
  explicit RowLease(std::shared_ptr<RowSlots> slots, std::int32_t first_cell = 0)
      : slots_(std::move(slots)), list_(slots_->add_list()), first_cell_(first_cell) {}
  RowLease(RowLease&& other) noexcept : slots_(std::move(other.slots_)), list_(other.list_), first_cell_(other.first_cell_) {}
  RowLease& operator=(RowLease&& other) noexcept {
    std::swap(slots_, other.slots_);
    std::swap(list_, other.list_);
    std::swap(first_cell_, other.first_cell_);
    return *this;
  }
  ~RowLease() {
    if (slots_) slots_->leave(list_);
  }
  explicit operator bool() const { return slots_ != nullptr; }
  void take(std::span<const std::int32_t> cells) { slots_->take(list_, cells, first_cell_); }
  void release(std::span<const std::int32_t> cells) { slots_->release(cells, first_cell_); }
  std::int32_t slot_of(std::int32_t cell) const { return slots_->slot_of(first_cell_ + cell); }
  std::size_t row_bytes() const { return slots_->row_bytes(); }

 private:
  std::shared_ptr<RowSlots> slots_;
  std::int32_t list_ = 0, first_cell_ = 0;
};

}  // namespace namm::llama
