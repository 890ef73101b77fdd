#include "kernels/ragged_attention.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "kernels/half.hpp"
#include "tests/check.hpp"

using namespace namm::kernels;

namespace {

struct Shape {
  std::size_t entries, key_size, value_size;
  int queries, group;
};

/// A head with random keys and values and causal visibility: the newest `queries` entries are the batch's own tokens. Every 7th
/// old entry is hidden from all, as a cell of another sequence would be.
struct Problem {
  Shape shape;
  std::vector<std::uint16_t> keys, values;
  std::vector<std::int32_t> first, last;
  std::vector<BlockVisibility> blocks;
  std::vector<std::uint8_t> dense;
  std::vector<float> rows;
  RaggedHead head;
  QueryTile tile;

  explicit Problem(const Shape& s, bool use_dense = false) : shape(s) {
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
    tile = {rows.data(), 0, s.queries, s.group, 0};
  }

  bool sees(int q, std::size_t e) const {
    if (head.dense) return dense[static_cast<std::size_t>(q) * blocks_of(shape.entries) * kBlock + e] != 0;
    return first[e] <= q && q <= last[e];
  }

  /// Attention in double from the same halves: output [row][value_size] and group mean [query][entries].
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
          dot += static_cast<double>(rows[static_cast<std::size_t>(r) * shape.key_size + d]) *
                 half_to_float(keys[(e / kBlock * shape.key_size + d) * kBlock + e % kBlock]);
        if (tile.softcap > 0) dot = tile.softcap * std::tanh(dot / tile.softcap);
        w[e] = std::exp(dot);
        sum += w[e];
      }
      if (sum == 0) continue;
      for (std::size_t e = 0; e < shape.entries; ++e) {
        mean[static_cast<std::size_t>(r / shape.group) * shape.entries + e] += w[e] / sum / shape.group;
        for (std::size_t n = 0; n < shape.value_size; ++n)
          output[static_cast<std::size_t>(r) * shape.value_size + n] +=
              w[e] / sum * half_to_float(values[e * shape.value_size + n]);
      }
    }
  }
};

using Attend = void (*)(const RaggedHead&, const QueryTile&, AttentionPart&, float*);
using Merge = void (*)(const RaggedHead&, const QueryTile&, const AttentionPart*, std::size_t, const float*, float* const*,
                       float*, std::size_t);

void run(const Problem& p, std::size_t blocks_per_part, const float* sinks, Attend attend, Merge merge,
         std::vector<float>& output, std::vector<float>& mean) {
  const std::size_t rows = static_cast<std::size_t>(p.shape.queries * p.shape.group), blocks = blocks_of(p.shape.entries);
  const std::size_t width = padded_value_size(p.shape.value_size);
  std::vector<AttentionPart> parts;
  std::vector<std::vector<float>> floats;
  std::vector<std::vector<std::int32_t>> active;
  std::vector<float> scratch(attention_scratch(p.shape.key_size, p.shape.value_size));
  for (std::size_t b = 0; b < blocks; b += blocks_per_part) {
    const std::size_t end = std::min(blocks, b + blocks_per_part);
    floats.emplace_back(rows * (kBlock * (end - b) + 2 + width));
    active.emplace_back(end - b);
    AttentionPart part;
    part.block_begin = b;
    part.block_end = end;
    part.active = active.back().data();
    part.weights = floats.back().data();
    part.maximum = part.weights + rows * kBlock * (end - b);
    part.sum = part.maximum + rows;
    part.output = part.sum + rows;
    attend(p.head, p.tile, part, scratch.data());
    parts.push_back(part);
  }
  output.assign(rows * p.shape.value_size, -7);
  mean.assign(static_cast<std::size_t>(p.shape.queries) * p.shape.entries, -7);
  std::vector<float*> pointers;
  for (std::size_t r = 0; r < rows; ++r) pointers.push_back(output.data() + r * p.shape.value_size);
  merge(p.head, p.tile, parts.data(), parts.size(), sinks, pointers.data(), mean.data(), p.shape.entries);
}

double worst(const std::vector<float>& a, const std::vector<double>& b) {
  double out = a.size() == b.size() ? 0 : 1e9;
  for (std::size_t i = 0; i < a.size() && i < b.size(); ++i) out = std::max(out, std::abs(a[i] - b[i]));
  return out;
}

const Shape kShapes[] = {{0, 64, 64, 1, 3},    {1, 64, 64, 1, 3},      {63, 64, 64, 1, 3},   {64, 32, 32, 16, 2},
                         {65, 64, 64, 16, 3},  {127, 80, 72, 7, 1},    {128, 96, 96, 16, 4}, {129, 16, 8, 3, 5},
                         {700, 64, 64, 16, 3}, {1000, 128, 128, 2, 8}, {300, 40, 24, 11, 7}};

}  // namespace

TEST_CASE("ragged attention equals a double computation from the same halves") {
  const float sinks[8] = {0.3f, -2, 1, 0, 4, -1, 0.5f, 2};
  for (const Shape& shape : kShapes)
    for (const bool dense : {false, true})
      for (const bool with_sinks : {false, true})
        for (const float softcap : {0.0f, 5.0f}) {
          Problem p(shape, dense);
          p.tile.softcap = softcap;
          std::vector<double> output, mean;
          p.reference(with_sinks ? sinks : nullptr, output, mean);
          for (const std::size_t blocks_per_part : {1u, 3u, 100u})
            for (const bool vector : {false, true}) {
              std::vector<float> o, m;
              run(p, blocks_per_part, with_sinks ? sinks : nullptr, vector ? attend_part : scalar::attend_part,
                  vector ? merge_parts : scalar::merge_parts, o, m);
              INFO("entries " << shape.entries << " key " << shape.key_size << " queries " << shape.queries << " dense " << dense
                              << " vector " << vector << " parts of " << blocks_per_part);
              CHECK(worst(o, output) < 5e-6);
              CHECK(worst(m, mean) < 1e-6);
            }
        }
}

TEST_CASE("blocks that no query sees are skipped") {
  Problem p({640, 64, 64, 4, 3});
  for (std::size_t e = 64; e < 512; ++e) {
    p.first[e] = kNever;
    p.last[e] = -1;
  }
  for (std::size_t b = 1; b < 8; ++b) p.blocks[b] = {kNever, kNever, -1, -1};
  AttentionPart part;
  std::vector<std::int32_t> active(10);
  std::vector<float> floats(12 * (640 + 2 + 64)), scratch(attention_scratch(64, 64));
  part.block_end = 10;
  part.active = active.data();
  part.weights = floats.data();
  part.maximum = part.weights + 12 * 640;
  part.sum = part.maximum + 12;
  part.output = part.sum + 12;
  attend_part(p.head, p.tile, part, scratch.data());
  CHECK(part.active_count == 3);
}
