// One head's list as bytes, for saved sessions.
#include <utility>

#include "adapters/llama_cpp/store/head_list.hpp"
#include "base/bytes.hpp"

namespace namm::llama {

void HeadList::save(ByteWriter& out, std::span<const std::int32_t> row_of_cell, const ReadRows& read) const {
  const auto row = [&](std::int32_t cell) {
    return static_cast<std::size_t>(cell) < row_of_cell.size() ? row_of_cell[static_cast<std::size_t>(cell)] : -1;
  };
  std::vector<std::int32_t> entries, rows;
  for (std::size_t e = 0; e < size(); ++e)
    if (row(cells_[e]) >= 0) {
      entries.push_back(static_cast<std::int32_t>(e));
      rows.push_back(row(cells_[e]));
    }
  out.number<std::uint64_t>(rows.size());
  out.numbers(rows);
  if (lease_) {
    std::vector<std::int32_t> held;
    for (const std::int32_t entry : entries) held.push_back(slot_of(static_cast<std::size_t>(entry)));
    out.numbers(read(held));
  } else {
    std::vector<std::byte> key(key_bytes()), value(value_bytes());
    for (const std::int32_t entry : entries) {
      const auto e = static_cast<std::size_t>(entry);
      kernels::take_key(keys_.data(), formats_.keys, key_size_, e, key.data());
      kernels::take_value(values_.data(), formats_.values, value_size_, e, value.data());
      out.numbers(key);
      out.numbers(value);
    }
  }
  if (means_.limit() > 0) means_.save(out);
  if (entries.size() == size()) return statistics_.save(out);
  HeadStatistics part = statistics_;
  part.keep(entries);
  part.save(out);
}

void HeadList::restore(ByteReader& in, std::size_t row_count, const HeldRows& held) {
  const std::uint64_t count = in.number<std::uint64_t>("entries of a head", 0, row_count);
  std::vector<std::int32_t> rows = in.numbers<std::int32_t>(count);
  std::vector<bool> taken(row_count);
  for (const std::int32_t row : rows) {
    if (row < 0 || static_cast<std::size_t>(row) >= row_count || taken[static_cast<std::size_t>(row)])
      throw std::runtime_error("saved state: tokens of a head must each be one of " + std::to_string(row_count) + ", found " +
                               std::to_string(row) + " twice or beyond; the file is damaged, save it again");
    taken[static_cast<std::size_t>(row)] = true;
  }
  const std::size_t width = lease_ ? held.bytes : key_bytes() + value_bytes();
  const auto bytes = in.take(count, width);
  cells_ = std::move(rows);
  reserve(cells_.size());
  if (lease_) {
    if (!held.finite(bytes))  // they are multiplied with those of others, also where nobody sees them
      throw std::runtime_error("saved state: keys and values must be finite, are not; the file is damaged, save it again");
    restored_.assign(bytes.begin(), bytes.end());
  }
  for (std::size_t e = 0; !lease_ && e < cells_.size(); ++e)
    put(e, bytes.data() + e * width, bytes.data() + e * width + key_bytes());
  if (means_.limit() > 0) means_.restore(in, key_size_, value_size_);
  statistics_.restore(in);
  if (statistics_.size() != size())
    throw std::runtime_error("saved state: a head must have statistics for each of its " + std::to_string(size()) +
                             " tokens, has them for " + std::to_string(statistics_.size()) +
                             "; the file is damaged, save it again");
}

std::vector<std::int32_t> HeadList::slots() const {
  std::vector<std::int32_t> out;
  for (std::size_t e = 0; e < size(); ++e) out.push_back(slot_of(e));
  return out;
}

std::vector<std::byte> HeadList::take_slots(RowLease lease) {
  lease.take(cells_);
  lease_ = std::move(lease);
  return std::exchange(restored_, {});
}

void HeadList::move_to(std::span<const std::int32_t> cell_of_row) {
  for (std::int32_t& cell : cells_) cell = cell_of_row[static_cast<std::size_t>(cell)];
}

}  // namespace namm::llama
