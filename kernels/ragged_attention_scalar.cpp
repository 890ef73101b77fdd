#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/half.hpp"
#include "kernels/ragged_attention.hpp"

namespace namm::kernels {
namespace {

/// Number i of an entry whose codes begin at `codes` in its block, `stride` bytes apart.
float scaled(const void* blocks, RowFormat format, std::size_t size, std::size_t entry, std::size_t i, std::size_t codes,
             std::size_t stride) {
  const auto* const block = static_cast<const std::int8_t*>(blocks) + entry / kBlock * kBlock * row_bytes(format, size);
  const auto* const scales = reinterpret_cast<const std::uint16_t*>(block + kBlock * code_bytes(format, size));
  const std::size_t group = i / kScaleGroup, begin = group * kScaleGroup;
  const float scale = half_to_float(scales[group * kBlock + entry % kBlock]);
  if (format == RowFormat::q8_0) return static_cast<float>(block[codes + i * stride]) * scale;
  const HalfByte place(i - begin, std::min(kScaleGroup, size - begin));
  return static_cast<float>(place.code(block[codes + (code_bytes(format, begin) + place.byte) * stride])) * scale;
}

}  // namespace

float key_number(const RaggedHead& head, std::size_t entry, std::size_t d) {
  if (head.key_format != RowFormat::f16)
    return scaled(head.keys, head.key_format, head.key_size, entry, d, entry % kBlock, kBlock);
  return half_to_float(head.keys[(entry / kBlock * head.key_size + d) * kBlock + entry % kBlock]);
}

float value_number(const RaggedHead& head, std::size_t entry, std::size_t n) {
  if (head.value_format != RowFormat::f16)
    return scaled(head.values, head.value_format, head.value_size, entry, n,
                  entry % kBlock * code_bytes(head.value_format, head.value_size), 1);
  return half_to_float(head.values[entry * head.value_size + n]);
}

namespace scalar {
namespace {

bool visible(const RaggedHead& head, std::size_t entry, int query) {
  if (head.dense) return head.dense[static_cast<std::size_t>(query) * blocks_of(head.count) * kBlock + entry] != 0;
  return head.first[entry] <= query && query <= head.last[entry];
}

float logit(const RaggedHead& head, const QueryTile& tile, const float* row, std::size_t entry) {
  float dot = 0;
  for (std::size_t d = 0; d < head.key_size; ++d) dot += row[d] * key_number(head, entry, d);
  return tile.softcap > 0 ? tile.softcap * std::tanh(dot / tile.softcap) : dot;
}

}  // namespace

void attend_part(const RaggedHead& head, const QueryTile& tile, AttentionPart& part, float* /*scratch*/) {
  const std::size_t width = padded_value_size(head.value_size);
  const std::size_t stride = kBlock * (part.block_end - part.block_begin);
  std::vector<float> forgotten(part.keep_weights ? 0 : stride);  // of one row
  part.active_count = 0;
  for (std::size_t b = part.block_begin; b < part.block_end; ++b) {
    bool seen = false;
    for (std::size_t e = b * kBlock; e < std::min(head.count, (b + 1) * kBlock); ++e)
      for (int q = 0; q < tile.queries; ++q) seen = seen || visible(head, e, tile.first_query + q);
    if (seen) part.active[part.active_count++] = static_cast<std::int32_t>(b);
  }
  for (int r = 0; r < tile.queries * tile.group; ++r) {
    const int query = tile.first_query + r / tile.group;
    const float* row = tile.rows + static_cast<std::size_t>(r) * head.key_size;
    float* weights = part.keep_weights ? part.weights + static_cast<std::size_t>(r) * stride : forgotten.data();
    float* output = part.output + static_cast<std::size_t>(r) * width;
    float maximum = -std::numeric_limits<float>::infinity();
    for (std::size_t i = 0; i < part.active_count * kBlock; ++i) {
      const std::size_t e = static_cast<std::size_t>(part.active[i / kBlock]) * kBlock + i % kBlock;
      const bool sees = e < head.count && visible(head, e, query);
      weights[i] = sees ? logit(head, tile, row, e) : -std::numeric_limits<float>::infinity();
      maximum = std::max(maximum, weights[i]);
    }
    part.maximum[r] = maximum;
    part.sum[r] = 0;
    std::fill_n(output, width, 0.0f);
    for (std::size_t i = 0; i < part.active_count * kBlock; ++i) {
      const std::size_t e = static_cast<std::size_t>(part.active[i / kBlock]) * kBlock + i % kBlock;
      weights[i] = std::isinf(weights[i]) && weights[i] < 0 ? 0.0f : std::exp(weights[i] - maximum);
      part.sum[r] += weights[i];
      if (weights[i] == 0) continue;
      for (std::size_t d = 0; d < head.value_size; ++d) output[d] += weights[i] * value_number(head, e, d);
    }
  }
}

bool sees_something(const AttentionPart* parts, std::size_t part_count, int row, float maximum) {
  if (maximum != -std::numeric_limits<float>::infinity()) return true;
  return std::any_of(parts, parts + part_count, [&](const AttentionPart& part) { return part.sum[row] != 0; });  // NaN
}

void merge_parts(const RaggedHead& head, const QueryTile& tile, const AttentionPart* parts, std::size_t part_count,
                 const float* sinks, float* const* outputs, float* group_mean, std::size_t stride) {
  const std::size_t width = padded_value_size(head.value_size);
  if (group_mean)
    for (int q = 0; q < tile.queries; ++q) std::fill_n(group_mean + static_cast<std::size_t>(q) * stride, head.count, 0.0f);
  for (int r = 0; r < tile.queries * tile.group; ++r) {
    float maximum = sinks ? sinks[r % tile.group] : -std::numeric_limits<float>::infinity();
    for (std::size_t p = 0; p < part_count; ++p) maximum = std::max(maximum, parts[p].maximum[r]);
    float* output = outputs[r];
    std::fill_n(output, head.value_size, 0.0f);
    if (!sees_something(parts, part_count, r, maximum)) continue;
    float sum = sinks ? std::exp(sinks[r % tile.group] - maximum) : 0.0f;
    for (std::size_t p = 0; p < part_count; ++p) sum += parts[p].sum[r] * std::exp(parts[p].maximum[r] - maximum);
    for (std::size_t p = 0; p < part_count; ++p) {
      const AttentionPart& part = parts[p];
      const float scale = std::exp(part.maximum[r] - maximum) / sum;
      for (std::size_t d = 0; d < head.value_size; ++d) output[d] += scale * part.output[static_cast<std::size_t>(r) * width + d];
      if (!group_mean) continue;
      const float* weights = part.weights + static_cast<std::size_t>(r) * kBlock * (part.block_end - part.block_begin);
      float* mean = group_mean + static_cast<std::size_t>(r / tile.group) * stride;
      for (std::size_t i = 0; i < part.active_count * kBlock; ++i) {
        const std::size_t e = static_cast<std::size_t>(part.active[i / kBlock]) * kBlock + i % kBlock;
        if (e < head.count) mean[e] += weights[i] * scale / static_cast<float>(tile.group);
      }
    }
  }
}

}  // namespace scalar
}  // namespace namm::kernels
