// One head's list as bytes, for saved sessions.
#include "adapters/llama_cpp/store/head_list.hpp"
#include "base/bytes.hpp"

namespace namm::llama {

using kernels::kBlock;

void HeadList::save(ByteWriter& out, std::span<const std::int32_t> row_of_cell) const {
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
  const kernels::RaggedHead head = view();
  std::vector<std::uint16_t> key(key_size_);
  for (const std::int32_t entry : entries) {
    const auto e = static_cast<std::size_t>(entry);
    const std::uint16_t* const column = head.keys + e / kBlock * key_size_ * kBlock + e % kBlock;
    for (std::size_t d = 0; d < key_size_; ++d) key[d] = column[d * kBlock];
    out.numbers(key);
    out.numbers(std::span(head.values + e * value_size_, value_size_));
  }
  if (entries.size() == size()) return statistics_.save(out);
  HeadStatistics part = statistics_;
  part.keep(entries);
  part.save(out);
}

void HeadList::restore(ByteReader& in, std::size_t row_count) {
  const std::uint64_t count = in.number<std::uint64_t>("entries of a head", 0, row_count);
  std::vector<std::int32_t> rows = in.numbers<std::int32_t>(count);
  std::vector<bool> taken(row_count);
  for (const std::int32_t row : rows) {
    if (row < 0 || static_cast<std::size_t>(row) >= row_count || taken[static_cast<std::size_t>(row)])
      throw std::runtime_error("saved state: tokens of a head must each be one of " + std::to_string(row_count) + ", found " +
                               std::to_string(row) + " twice or beyond; the file is damaged, save it again");
    taken[static_cast<std::size_t>(row)] = true;
  }
  const auto width = key_size_ + value_size_;
  const auto bytes = in.take(count, width * sizeof(std::uint16_t));
  cells_ = std::move(rows);
  reserve(cells_.size());
  for (std::size_t e = 0; e < cells_.size(); ++e) {
    const std::byte* const from = bytes.data() + e * width * sizeof(std::uint16_t);
    std::uint16_t* const column = keys() + e / kBlock * key_size_ * kBlock + e % kBlock;
    for (std::size_t d = 0; d < key_size_; ++d)
      std::memcpy(column + d * kBlock, from + d * sizeof(std::uint16_t), sizeof(std::uint16_t));
    std::memcpy(values() + e * value_size_, from + key_size_ * sizeof(std::uint16_t), value_size_ * sizeof(std::uint16_t));
    look_at_value(values() + e * value_size_);
  }
  statistics_.restore(in);
  if (statistics_.size() != size())
    throw std::runtime_error("saved state: a head must have statistics for each of its " + std::to_string(size()) +
                             " tokens, has them for " + std::to_string(statistics_.size()) +
                             "; the file is damaged, save it again");
}

void HeadList::move_to(std::span<const std::int32_t> cell_of_row) {
  for (std::int32_t& cell : cells_) cell = cell_of_row[static_cast<std::size_t>(cell)];
}

}  // namespace namm::llama
