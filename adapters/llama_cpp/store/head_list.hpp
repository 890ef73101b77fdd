#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "adapters/llama_cpp/store/evicted_means.hpp"
#include "adapters/llama_cpp/store/page_region.hpp"
#include "adapters/llama_cpp/store/row_slots.hpp"
#include "kernels/ragged_attention.hpp"
#include "namm/statistics.hpp"

namespace namm::llama {

/// Rows of halves as the runtime hands them over: token i starts at data + i * stride.
struct HalfRows {
  const std::uint16_t* data = nullptr;
  std::size_t stride = 0;
};

/// Rows of a saved state that are held elsewhere: bytes of each, and whether some have nothing but finite numbers.
struct HeldRows {
  std::size_t bytes = 0;
  std::function<bool(std::span<const std::byte>)> finite;
};

/// The cached tokens of one (sequence, layer, KV head): keys, values, the cell each token has in the runtime's cache, and what
/// its attention statistics are. In order of arrival, which is position order.
class HeadList {
 public:
  /// `region`: where keys and values lie, beside those of other heads.
  HeadList(std::size_t key_size, std::size_t value_size, const StatisticsSettings& statistics,
           const std::shared_ptr<PageRegion>& region = std::make_shared<PageRegion>(), RowFormats formats = {});
  /// A list whose rows are held elsewhere: it knows its entries, not their keys and values.
  HeadList(std::size_t key_size, std::size_t value_size, const StatisticsSettings& statistics, RowLease lease,
           const std::shared_ptr<PageRegion>& region);

  /// Adds tokens: `cells` and `positions` say who they are, rows hold one key and one value of this head each;
  /// `content` is what the policy's reader made of them, empty if it has none. Rows that are held elsewhere are not given.
  void append(std::span<const std::int32_t> cells, std::span<const std::int32_t> positions, HalfRows keys, HalfRows values,
              std::span<const float> content = {});
  /// From here on what is appended and observed can be taken back, until commit(). `observes`: rows of attention go to the
  /// statistics at once, which are copied for that; else they wait (observe_later). Commits what was open.
  void open(bool observes);
  /// The newest rows of attention, for commit(): [rows][size()].
  void observe_later(std::vector<float> attention, int rows, std::int32_t first_position);
  void commit();
  /// What waits for commit() is left out.
  void leave_out() { open_.reset(); }
  /// What was appended since open() never was. Needs no memory.
  void take_back();
  /// Keeps the entries with these ascending indices; memory of the others goes back to the system. Commits, which needs memory;
  /// if it is refused nothing has changed.
  void keep(std::span<const std::int32_t> kept);
  /// The same, and the means take up the others.
  void evict(std::span<const std::int32_t> kept);

  /// For saved sessions: the entries whose cell has a row (`row_of_cell[cell]`, -1 = none), with their statistics. The list
  /// itself goes on. `read` gives rows that are held elsewhere, of these slots.
  using ReadRows = std::function<std::vector<std::byte>(std::span<const std::int32_t> slots)>;
  void save(ByteWriter& out, std::span<const std::int32_t> row_of_cell, const ReadRows& read = {}) const;
  /// Reads that into an empty list; its cells are then rows, below `row_count`, until move_to() gives them cells. Throws
  /// std::runtime_error if it is not what save() wrote for a list of this shape: nothing read is trusted. `held`: if its
  /// rows are held elsewhere.
  void restore(ByteReader& in, std::size_t row_count, const HeldRows& held = {});
  void move_to(std::span<const std::int32_t> cell_of_row);
  /// Takes slots for the entries of a list that was restored or duplicated. Returns their rows, which have to be put there.
  std::vector<std::byte> take_slots(RowLease lease);
  std::vector<std::int32_t> slots() const;

  /// The same list once more, with its statistics; of one that is not open. `held`: the rows of slots(), of one whose rows are
  /// held elsewhere; the copy then waits for take_slots().
  HeadList duplicate(const std::shared_ptr<PageRegion>& region, std::vector<std::byte> held = {}) const;
  /// A list of the entries with these ascending indices, without statistics.
  HeadList copy(std::span<const std::int32_t> kept, const std::shared_ptr<PageRegion>& region) const;

  std::size_t size() const { return cells_.size(); }
  const EvictedMeans& means() const { return means_; }
  std::span<const std::int32_t> cells() const { return cells_; }
  /// Of an entry whose row is held elsewhere: where.
  std::int32_t slot_of(std::size_t entry) const { return lease_.slot_of(cells_[entry]); }
  HeadStatistics& statistics() { return statistics_; }
  const HeadStatistics& statistics() const { return statistics_; }
  /// Keys, values and sizes; visibility is left for the caller.
  kernels::RaggedHead view() const;
  /// Memory for them; of rows that are held elsewhere what they take by themselves.
  std::size_t kv_bytes() const {
    return lease_ ? size() * lease_.row_bytes() : keys_.mapped() + values_.mapped() + means_.bytes();
  }
  /// Of the key and the value of an entry.
  std::size_t row_bytes() const { return lease_ ? lease_.row_bytes() : key_bytes() + value_bytes(); }
  std::size_t bookkeeping_bytes() const;

 private:
  std::size_t key_bytes() const { return kernels::row_bytes(formats_.keys, key_size_); }
  std::size_t value_bytes() const { return kernels::row_bytes(formats_.values, value_size_); }
  void reserve(std::size_t entries);
  void put(std::size_t entry, const std::byte* key, const std::byte* value);

  std::size_t key_size_, value_size_;
  RowFormats formats_;
  RegionBuffer keys_, values_;    // blocks (kernels/row_format.hpp)
  bool values_overflow_ = false;  // one that was appended is not finite
  std::vector<std::int32_t> cells_;
  HeadStatistics statistics_;
  EvictedMeans means_;
  RowLease lease_;                   // if the rows are held elsewhere
  std::vector<std::byte> restored_;  // the same, between restore() or duplicate() and take_slots()

  /// What take_back() needs, and what waits for commit().
  struct Open {
    std::size_t entries = 0;                   // before
    std::optional<HeadStatistics> statistics;  // before, if rows have been observed since
    std::vector<float> attention;
    int rows = 0;
    std::int32_t first_position = 0;
  };
  std::optional<Open> open_;
};

}  // namespace namm::llama
