#pragma once
// Heads and queries to test attention kernels with, and what should come out.
#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "kernels/half.hpp"
#include "kernels/ragged_attention.hpp"

namespace namm::test {

using namespace namm::kernels;

struct Shape {
  std::size_t entries, key_size, value_size;
  int queries, group;
};

/// A head with random keys and values and causal visibility: the newest `queries` entries are the batch's own tokens. Every 7th
/// old entry is hidden from all, as a cell of another sequence would be.
struct Problem {
  Shape shape;
  std::vector<std::uint16_t> keys, values;          // as f16
  std::vector<std::byte> key_blocks, value_blocks;  // the same in another format, if it was asked for
  std::vector<std::int32_t> first, last;
  std::vector<BlockVisibility> blocks;
  std::vector<std::uint8_t> dense;
  std::vector<float> rows;
  RaggedHead head;
  QueryTile tile;

  explicit Problem(const Shape& s, bool use_dense = false, RowFormat key_format = RowFormat::f16,
                   RowFormat value_format = RowFormat::f16)
      : shape(s) {
    std::mt19937 rng(static_cast<unsigned>(s.entries * 31 + s.key_size + s.value_size + s.group));
    std::normal_distribution<float> normal;
    const std::size_t padded = blocks_of(s.entries) * kBlock;
    keys.resize(padded * s.key_size);
    values.resize(s.entries * s.value_size);
    for (auto& k : keys) k = float_to_half(normal(rng));
    for (auto& v : values) v = float_to_half(normal(rng));
    rows.resize(static_cast<std::size_t>(s.queries * s.group) * s.key_size);
    for (auto& x : rows) x = normal(rng) / std::sqrt(static_cast<float>(s.key_size)) * 2;
    first.assign(padded, kNever);
    last.assign(padded, -1);
    for (std::size_t e = 0; e < s.entries; ++e) {
      const auto own = static_cast<std::int64_t>(e) - static_cast<std::int64_t>(s.entries) + s.queries;
      if (own < 0 && e % 7 == 3) continue;
      first[e] = static_cast<std::int32_t>(std::max<std::int64_t>(own, 0));
      last[e] = s.queries - 1;
    }
    for (std::size_t b = 0; b < blocks_of(s.entries); ++b) {
      const auto f = std::minmax_element(first.begin() + b * kBlock, first.begin() + (b + 1) * kBlock);
      const auto l = std::minmax_element(last.begin() + b * kBlock, last.begin() + (b + 1) * kBlock);
      blocks.push_back({*f.first, *f.second, *l.first, *l.second});
    }
    if (use_dense) {
      dense.resize(static_cast<std::size_t>(s.queries) * padded);
      for (int q = 0; q < s.queries; ++q)
        for (std::size_t e = 0; e < s.entries; ++e)
          dense[static_cast<std::size_t>(q) * padded + e] = (first[e] <= q && q <= last[e]) && (e + q) % 3 != 0;
    }
    head = {keys.data(), values.data(), s.entries,
            s.key_size,  s.value_size,  first.data(),
            last.data(), blocks.data(), use_dense ? dense.data() : nullptr};
    if (key_format != RowFormat::f16) hold(key_format, s.key_size, true, key_blocks, head.keys);
    if (value_format != RowFormat::f16) hold(value_format, s.value_size, false, value_blocks, head.values);
    head.key_format = key_format;
    head.value_format = value_format;
    tile = {rows.data(), 0, s.queries, s.group, 0};
  }

  /// The keys or values once more, packed; behind the last entry garbage as a list may have it.
  void hold(RowFormat format, std::size_t size, bool are_keys, std::vector<std::byte>& out, const std::uint16_t*& at) const {
    out.assign(blocks_of(shape.entries) * kBlock * row_bytes(format, size), std::byte{0x33});
    std::vector<std::byte> packed(row_bytes(format, size));
    std::vector<std::uint16_t> row(size);
    for (std::size_t e = 0; e < shape.entries; ++e) {
      for (std::size_t d = 0; d < size; ++d)
        row[d] = are_keys ? keys[(e / kBlock * size + d) * kBlock + e % kBlock] : values[e * size + d];
      pack_row(format, row.data(), size, packed.data());
      (are_keys ? put_key : put_value)(out.data(), format, size, e, packed.data());
    }
    at = reinterpret_cast<const std::uint16_t*>(out.data());
  }

  bool sees(int q, std::size_t e) const {
    if (head.dense) return dense[static_cast<std::size_t>(q) * blocks_of(shape.entries) * kBlock + e] != 0;
    return first[e] <= q && q <= last[e];
  }

  /// Attention in double from the numbers that are held: output [row][value_size] and group mean [query][entries].
  void reference(const float* sinks, std::vector<double>& output, std::vector<double>& mean) const {
    output.assign(static_cast<std::size_t>(shape.queries * shape.group) * shape.value_size, 0);
    mean.assign(static_cast<std::size_t>(shape.queries) * shape.entries, 0);
    for (int r = 0; r < shape.queries * shape.group; ++r) {
      std::vector<double> w(shape.entries, 0);
      double sum = sinks ? std::exp(static_cast<double>(sinks[r % shape.group])) : 0;
      for (std::size_t e = 0; e < shape.entries; ++e) {
        if (!sees(r / shape.group, e)) continue;
        double dot = 0;
        for (std::size_t d = 0; d < shape.key_size; ++d)
          dot += static_cast<double>(rows[static_cast<std::size_t>(r) * shape.key_size + d]) * key_number(head, e, d);
        if (tile.softcap > 0) dot = tile.softcap * std::tanh(dot / tile.softcap);
        w[e] = std::exp(dot);
        sum += w[e];
      }
      if (sum == 0) continue;
      for (std::size_t e = 0; e < shape.entries; ++e) {
        mean[static_cast<std::size_t>(r / shape.group) * shape.entries + e] += w[e] / sum / shape.group;
        for (std::size_t n = 0; n < shape.value_size; ++n)
          output[static_cast<std::size_t>(r) * shape.value_size + n] += w[e] / sum * value_number(head, e, n);
      }
    }
  }
};

inline double worst(const std::vector<float>& a, const std::vector<double>& b) {
  double out = a.size() == b.size() ? 0 : 1e9;
  for (std::size_t i = 0; i < a.size() && i < b.size(); ++i) out = std::max(out, std::abs(a[i] - b[i]));
  return out;
}

inline const Shape kShapes[] = {{0, 64, 64, 1, 3},    {1, 64, 64, 1, 3},      {63, 64, 64, 1, 3},   {64, 32, 32, 16, 2},
                                {65, 64, 64, 16, 3},  {127, 80, 72, 7, 1},    {128, 96, 96, 16, 4}, {129, 16, 8, 3, 5},
                                {700, 64, 64, 16, 3}, {1000, 128, 128, 2, 8}, {300, 40, 24, 11, 7}};

}  // namespace namm::test
