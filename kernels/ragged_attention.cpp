// Vector code of ragged attention. Compiled once per instruction set (foreach_target), chosen at run time; isa.hpp says how to
// force one. The products are outer products of small register tiles (register_tiles-inl.hpp).
#include "kernels/ragged_attention.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/half.hpp"
#include "kernels/isa.hpp"

// foreach_target includes this file again for every instruction set and must come before highway.h
// clang-format off
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/ragged_attention.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include <hwy/contrib/math/math-inl.h>
#include "kernels/register_tiles-inl.hpp"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace namm::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Sees any query of the tile any entry of the block? Sees every query every entry?
struct Seen {
  bool any, all;
};
Seen seen(const RaggedHead& head, const QueryTile& tile, std::size_t block) {
  const int begin = tile.first_query, end = tile.first_query + tile.queries;
  if (head.dense) {
    Seen out{false, true};
    for (int q = begin; q < end; ++q) {
      const std::uint8_t* row = head.dense + static_cast<std::size_t>(q) * blocks_of(head.count) * kBlock + block * kBlock;
      for (std::size_t e = 0; e < kBlock; ++e) {
        out.any |= row[e] != 0;
        out.all &= row[e] != 0;
      }
    }
    return out;
  }
  const BlockVisibility& v = head.blocks[block];
  return {v.first_min < end && v.last_max >= begin, v.first_max <= begin && v.last_min >= end - 1};
}

// Hides what the query does not see and returns the largest logit.
template <bool kMasked>
HWY_INLINE hn::Vec<F32> row_maximum(const RaggedHead& head, int query, std::size_t block, float* logits, hn::Vec<F32> maximum) {
  const F32 d;
  const I32 di;
  const auto hidden = hn::Set(d, -std::numeric_limits<float>::infinity());
  for (std::size_t e = 0; e < kBlock; e += hn::Lanes(d)) {
    auto x = hn::LoadU(d, logits + e);
    if constexpr (kMasked) {
      if (head.dense) {
        const std::uint8_t* row =
            head.dense + static_cast<std::size_t>(query) * blocks_of(head.count) * kBlock + block * kBlock + e;
        // chosen, not added: a hidden key may have overflowed to infinity
        HWY_ALIGN std::int32_t hide[HWY_MAX_BYTES / sizeof(std::int32_t)];
        for (std::size_t i = 0; i < hn::Lanes(d); ++i) hide[i] = row[i] ? 0 : 1;
        x = hn::IfThenElse(hn::RebindMask(d, hn::Gt(hn::Load(di, hide), hn::Zero(di))), hidden, x);
      } else {
        const auto q = hn::Set(di, query);
        const auto first = hn::LoadU(di, head.first + block * kBlock + e);
        const auto last = hn::LoadU(di, head.last + block * kBlock + e);
        const auto hide = hn::Or(hn::Gt(first, q), hn::Gt(q, last));
        x = hn::IfThenElse(hn::RebindMask(d, hide), hidden, x);
      }
      hn::StoreU(x, d, logits + e);
    }
    maximum = hn::Max(maximum, x);
  }
  return maximum;
}

// A block of codes, and its scales [group][64].
struct Codes {
  const std::int8_t* codes;
  const std::uint16_t* scales;
  Codes(const std::uint16_t* blocks, RowFormat format, std::size_t size, std::size_t block)
      : codes(reinterpret_cast<const std::int8_t*>(blocks) + block * kBlock * row_bytes(format, size)),
        scales(reinterpret_cast<const std::uint16_t*>(codes + kBlock * code_bytes(format, size))) {}
};

// logits[row][e] += the products with a block's keys: the codes' sums, group by group, by the scale of each entry.
void multiply_key_codes(const RaggedHead& head, const QueryTile& tile, std::size_t rows, std::size_t at,
                        float* HWY_RESTRICT logits, std::size_t stride) {
  const std::size_t size = head.key_size;
  const Codes block(head.keys, head.key_format, size, at);
  for (std::size_t g = 0; g < scales_of(size); ++g) {
    const std::size_t begin = g * kScaleGroup, depth = std::min(kScaleGroup, size - begin);
    const std::int8_t* const codes = block.codes + code_bytes(head.key_format, begin) * kBlock;
    const std::uint16_t* const scales = block.scales + g * kBlock;
    by_three(rows, [&](auto at_once, std::size_t r) {
      constexpr int kRows = decltype(at_once)::value;
      const float* const numbers = tile.rows + r * size + begin;
      if (head.key_format == RowFormat::q4_0)
        key_codes_tile<kRows>(numbers, size, depth / 2, scales, logits + r * stride, stride,
                              [&](std::size_t place, std::size_t k, const auto& add) HWY_ATTR {
                                const BothHalves both = load_halves(codes + place);
                                add(k, both.low);
                                add(depth / 2 + k, both.high);
                              });
      else
        key_codes_tile<kRows>(numbers, size, depth, scales, logits + r * stride, stride,
                              [&](std::size_t place, std::size_t k, const auto& add) HWY_ATTR { add(k, load(codes + place)); });
    });
  }
}

// The keys of a block as floats, [size][64].
void convert_keys(const RaggedHead& head, std::size_t block, float* HWY_RESTRICT keys) {
  const F32 d;
  if (head.key_format == RowFormat::f16) {
    const std::uint16_t* const halves = head.keys + block * head.key_size * kBlock;
    for (std::size_t i = 0; i < head.key_size * kBlock; i += hn::Lanes(d)) hn::StoreU(load(halves + i), d, keys + i);
    return;
  }
  const Codes from(head.keys, head.key_format, head.key_size, block);
  if (head.key_format == RowFormat::q8_0) {
    for (std::size_t k = 0; k < head.key_size; ++k)
      for (std::size_t e = 0; e < kBlock; e += hn::Lanes(d))
        hn::StoreU(hn::Mul(load(from.codes + k * kBlock + e), load(from.scales + k / kScaleGroup * kBlock + e)), d,
                   keys + k * kBlock + e);
    return;
  }
  for (std::size_t g = 0; g < scales_of(head.key_size); ++g) {
    const std::size_t begin = g * kScaleGroup, count = std::min(kScaleGroup, head.key_size - begin), half = (count + 1) / 2;
    for (std::size_t k = 0; k < half; ++k)
      for (std::size_t e = 0; e < kBlock; e += hn::Lanes(d)) {
        const BothHalves codes = load_halves(from.codes + (code_bytes(head.key_format, begin) + k) * kBlock + e);
        const auto scale = load(from.scales + g * kBlock + e);
        hn::StoreU(hn::Mul(codes.low, scale), d, keys + (begin + k) * kBlock + e);
        if (half + k < count) hn::StoreU(hn::Mul(codes.high, scale), d, keys + (begin + half + k) * kBlock + e);
      }
  }
}

// logits[row * stride + e] of one block; hidden ones are -inf. Raises the rows' maxima. Online: brings what was summed under the
// old maximum under the new one.
void score_block(const RaggedHead& head, const QueryTile& tile, std::size_t block, bool all_seen, bool convert_once,
                 float* HWY_RESTRICT keys, float* HWY_RESTRICT logits, std::size_t stride, AttentionPart& part) {
  const F32 d;
  const std::size_t rows = static_cast<std::size_t>(tile.queries) * tile.group;
  for (std::size_t r = 0; r < rows; ++r) std::memset(logits + r * stride, 0, kBlock * sizeof(float));
  const bool unpaired = head.key_format == RowFormat::q4_0 && head.key_size % 2 != 0;
  if (convert_once || unpaired) {
    convert_keys(head, block, keys);
    multiply(tile.rows, head.key_size, rows, keys, kBlock, head.key_size, kBlock, logits, stride);
  } else if (head.key_format != RowFormat::f16) {
    multiply_key_codes(head, tile, rows, block, logits, stride);
  } else {
    multiply(tile.rows, head.key_size, rows, head.keys + block * head.key_size * kBlock, kBlock, head.key_size, kBlock, logits,
             stride);
  }
  for (std::size_t r = 0; r < rows; ++r) {
    float* const x = logits + r * stride;
    if (tile.softcap > 0)
      for (std::size_t e = 0; e < kBlock; ++e) x[e] = tile.softcap * std::tanh(x[e] / tile.softcap);
    const int query = tile.first_query + static_cast<int>(r) / tile.group;
    const float old = part.maximum[r];
    const auto start = hn::Set(d, old);
    const auto best =
        all_seen ? row_maximum<false>(head, query, block, x, start) : row_maximum<true>(head, query, block, x, start);
    part.maximum[r] = hn::GetLane(hn::MaxOfLanes(d, best));
    if (part.keep_weights || part.sum[r] == 0 || !(part.maximum[r] > old)) continue;
    const float rescale = std::exp(old - part.maximum[r]);
    part.sum[r] *= rescale;
    const std::size_t width = padded_value_size(head.value_size);
    float* const output = part.output + r * width;
    for (std::size_t n = 0; n < width; n += hn::Lanes(d))
      hn::StoreU(hn::Mul(hn::LoadU(d, output + n), hn::Set(d, rescale)), d, output + n);
  }
}

// Turns a block's logits of one row into weights and returns their sum.
HWY_INLINE float weigh_row(float* HWY_RESTRICT x, float maximum) {
  const F32 d;
  const float lowest = -std::numeric_limits<float>::infinity();
  // a row that sees nothing so far has maximum -inf; 0 instead gives weights of exp(-inf) = 0 and no NaN
  const auto from = hn::Set(d, maximum == lowest ? 0.0f : maximum);
  auto sum = hn::Zero(d);
  for (std::size_t e = 0; e < kBlock; e += hn::Lanes(d)) {
    const auto logit = hn::LoadU(d, x + e);
    const auto power = hn::Sub(logit, from);
    // hn::Exp makes 0 of NaN, which would hide a key that is not finite
    const auto shown = hn::IfThenElse(hn::IsNaN(power), power, hn::Exp(d, power));
    const auto weight = hn::IfThenZeroElse(hn::Eq(logit, hn::Set(d, lowest)), shown);
    hn::StoreU(weight, d, x + e);
    sum = hn::Add(sum, weight);
  }
  return hn::GetLane(hn::SumOfLanes(d, sum));
}

// `count` codes of one entry as floats.
HWY_INLINE void convert_group(const std::int8_t* codes, std::size_t count, float scale, float* HWY_RESTRICT to) {
  const F32 d;
  std::size_t n = 0;
  for (; n + hn::Lanes(d) <= count; n += hn::Lanes(d)) hn::StoreU(hn::Mul(load(codes + n), hn::Set(d, scale)), d, to + n);
  for (; n < count; ++n) to[n] = static_cast<float>(codes[n]) * scale;
}
// The same of 4 bits.
HWY_INLINE void convert_halves(const std::int8_t* codes, std::size_t count, float scale, float* HWY_RESTRICT to) {
  const F32 d;
  if (count == kScaleGroup) {
    for (std::size_t n = 0; n < kScaleGroup / 2; n += hn::Lanes(d)) {
      const BothHalves both = load_halves(codes + n);
      hn::StoreU(hn::Mul(both.low, hn::Set(d, scale)), d, to + n);
      hn::StoreU(hn::Mul(both.high, hn::Set(d, scale)), d, to + kScaleGroup / 2 + n);
    }
    return;
  }
  for (std::size_t n = 0; n < count; ++n) {
    const HalfByte place(n, count);
    to[n] = static_cast<float>(place.code(codes[place.byte])) * scale;
  }
}

// The values of a block as floats, [entry][width], zeros behind value_size.
void convert_values(const RaggedHead& head, std::size_t block, std::size_t entries, std::size_t width,
                    float* HWY_RESTRICT values) {
  const F32 d;
  const std::size_t size = head.value_size;
  if (head.value_format == RowFormat::f16) {
    const std::uint16_t* const halves = head.values + block * kBlock * size;
    for (std::size_t e = 0; e < entries; ++e) {
      std::size_t n = 0;
      for (; n + hn::Lanes(d) <= size; n += hn::Lanes(d)) hn::StoreU(load(halves + e * size + n), d, values + e * width + n);
      for (; n < width; ++n) values[e * width + n] = n < size ? half_to_float(halves[e * size + n]) : 0.0f;
    }
    return;
  }
  const Codes from(head.values, head.value_format, size, block);
  const std::size_t stride = code_bytes(head.value_format, size);
  for (std::size_t g = 0; g < scales_of(size); ++g) {
    float scales[kBlock];
    for (std::size_t e = 0; e < kBlock; e += hn::Lanes(d)) hn::StoreU(load(from.scales + g * kBlock + e), d, scales + e);
    const std::size_t begin = g * kScaleGroup, count = std::min(kScaleGroup, size - begin);
    const std::int8_t* const codes = from.codes + code_bytes(head.value_format, begin);
    for (std::size_t e = 0; e < entries; ++e) {
      float* const to = values + e * width + begin;
      if (head.value_format == RowFormat::q8_0)
        convert_group(codes + e * stride, count, scales[e], to);
      else
        convert_halves(codes + e * stride, count, scales[e], to);
    }
  }
  for (std::size_t e = 0; e < entries; ++e) std::fill(values + e * width + size, values + (e + 1) * width, 0.0f);
}

// output[row] += sum of weight * value over one block of codes: group by group, the weights by the scale of each entry.
void add_value_codes(const RaggedHead& head, std::size_t block, std::size_t entries, std::size_t rows,
                     const float* HWY_RESTRICT weights, std::size_t stride, float* HWY_RESTRICT scaled,
                     float* HWY_RESTRICT output) {
  const F32 d;
  const std::size_t size = head.value_size;
  const Codes from(head.values, head.value_format, size, block);
  const std::size_t bytes = code_bytes(head.value_format, size);
  for (std::size_t g = 0; g < scales_of(size); ++g) {
    for (std::size_t e = 0; e < kBlock; e += hn::Lanes(d)) {
      const auto scale = load(from.scales + g * kBlock + e);
      for (std::size_t r = 0; r < rows; ++r)
        hn::StoreU(hn::Mul(hn::LoadU(d, weights + r * stride + e), scale), d, scaled + r * kBlock + e);
    }
    const std::size_t begin = g * kScaleGroup;
    const std::int8_t* const codes = from.codes + code_bytes(head.value_format, begin);
    if (head.value_format == RowFormat::q8_0)
      multiply<2>(scaled, kBlock, rows, codes, bytes, entries, std::min(kScaleGroup, size - begin), output + begin, size);
    else
      by_three(rows, [&](auto at_once, std::size_t r) {
        value_halves_tile<decltype(at_once)::value>(scaled + r * kBlock, kBlock, codes, bytes, entries, output + r * size + begin,
                                                    size);
      });
  }
}

// output[row] += sum of weight * value over one block.
void add_values(const RaggedHead& head, std::size_t block, std::size_t rows, const float* HWY_RESTRICT weights,
                std::size_t stride, bool convert_once, float* HWY_RESTRICT values, float* HWY_RESTRICT output) {
  const std::size_t width = padded_value_size(head.value_size);
  const std::size_t entries = std::min(kBlock, head.count - block * kBlock);
  const bool unpaired = head.value_format == RowFormat::q4_0 && head.value_size % kScaleGroup != 0;
  if (convert_once || unpaired || width != head.value_size) {
    convert_values(head, block, entries, width, values);
    multiply(weights, stride, rows, values, width, entries, width, output, width);
  } else if (head.value_format != RowFormat::f16) {
    add_value_codes(head, block, entries, rows, weights, stride, values, output);
  } else {
    multiply(weights, stride, rows, head.values + block * kBlock * head.value_size, head.value_size, entries, width, output,
             width);
  }
}

void AttendPart(const RaggedHead& head, const QueryTile& tile, AttentionPart& part, float* HWY_RESTRICT scratch) {
  const std::size_t rows = static_cast<std::size_t>(tile.queries) * tile.group;
  const std::size_t width = padded_value_size(head.value_size);
  const std::size_t stride = part.keep_weights ? kBlock * (part.block_end - part.block_begin) : kBlock;
  part.active_count = 0;
  std::fill_n(part.maximum, rows, -std::numeric_limits<float>::infinity());
  std::fill_n(part.sum, rows, 0.0f);
  std::memset(part.output, 0, rows * width * sizeof(float));

  const bool convert_once = rows > kRowsTogether;
  float* const keys = scratch;
  float* const values = scratch + head.key_size * kBlock;

  for (std::size_t block = part.block_begin; block < part.block_end; ++block) {
    const Seen sees = seen(head, tile, block);
    if (!sees.any) continue;
    float* const logits = part.weights + (part.keep_weights ? kBlock * part.active_count : 0);
    part.active[part.active_count++] = static_cast<std::int32_t>(block);
    score_block(head, tile, block, sees.all, convert_once, keys, logits, stride, part);
    if (part.keep_weights) continue;
    for (std::size_t r = 0; r < rows; ++r) part.sum[r] += weigh_row(logits + r * stride, part.maximum[r]);
    add_values(head, block, rows, logits, stride, convert_once, values, part.output);
  }
  for (std::size_t i = 0; part.keep_weights && i < part.active_count; ++i) {
    float* const weights = part.weights + i * kBlock;
    for (std::size_t r = 0; r < rows; ++r) part.sum[r] += weigh_row(weights + r * stride, part.maximum[r]);
    add_values(head, static_cast<std::size_t>(part.active[i]), rows, weights, stride, convert_once, values, part.output);
  }
}

void MergeParts(const RaggedHead& head, const QueryTile& tile, const AttentionPart* parts, std::size_t part_count,
                const float* sinks, float* const* outputs, float* group_mean, std::size_t stride) {
  const F32 d;
  const std::size_t width = padded_value_size(head.value_size);
  if (group_mean)
    for (int q = 0; q < tile.queries; ++q) std::fill_n(group_mean + static_cast<std::size_t>(q) * stride, head.count, 0.0f);
  for (int r = 0; r < tile.queries * tile.group; ++r) {
    float maximum = sinks ? sinks[r % tile.group] : -std::numeric_limits<float>::infinity();
    for (std::size_t p = 0; p < part_count; ++p) maximum = std::max(maximum, parts[p].maximum[r]);
    float* const output = outputs[r];
    std::fill_n(output, head.value_size, 0.0f);
    if (!scalar::sees_something(parts, part_count, r, maximum)) continue;
    float sum = sinks ? std::exp(sinks[r % tile.group] - maximum) : 0.0f;
    for (std::size_t p = 0; p < part_count; ++p) sum += parts[p].sum[r] * std::exp(parts[p].maximum[r] - maximum);
    for (std::size_t p = 0; p < part_count; ++p) {
      const AttentionPart& part = parts[p];
      const float scale = std::exp(part.maximum[r] - maximum) / sum;
      for (std::size_t n = 0; n < head.value_size; ++n) output[n] += scale * part.output[static_cast<std::size_t>(r) * width + n];
      if (!group_mean) continue;
      const float* weights = part.weights + static_cast<std::size_t>(r) * kBlock * (part.block_end - part.block_begin);
      float* const mean = group_mean + static_cast<std::size_t>(r / tile.group) * stride;
      const auto share = hn::Set(d, scale / static_cast<float>(tile.group));
      for (std::size_t i = 0; i < part.active_count; ++i) {
        const std::size_t begin = static_cast<std::size_t>(part.active[i]) * kBlock;
        const std::size_t entries = std::min(kBlock, head.count - begin);
        std::size_t e = 0;
        for (; e + hn::Lanes(d) <= entries; e += hn::Lanes(d))
          hn::StoreU(hn::MulAdd(hn::LoadU(d, weights + i * kBlock + e), share, hn::LoadU(d, mean + begin + e)), d,
                     mean + begin + e);
        for (; e < entries; ++e) mean[begin + e] += weights[i * kBlock + e] * hn::GetLane(share);
      }
    }
  }
}

void FloatsToHalves(const float* HWY_RESTRICT from, std::uint16_t* HWY_RESTRICT to, std::size_t count) {
  std::size_t i = 0;
#if !HWY_ARCH_X86 || HWY_TARGET <= HWY_AVX2  // older sets have no conversion, and its emulation truncates
  const F32 d;
  for (; i + hn::Lanes(d) <= count; i += hn::Lanes(d))
    hn::StoreU(hn::DemoteTo(F16(), hn::LoadU(d, from + i)), F16(), reinterpret_cast<hwy::float16_t*>(to + i));
#endif
  for (; i < count; ++i) to[i] = float_to_half(from[i]);
}

}  // namespace namm::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace namm::kernels {
HWY_EXPORT(AttendPart);
HWY_EXPORT(MergeParts);
HWY_EXPORT(FloatsToHalves);

std::size_t attention_scratch(std::size_t key_size, std::size_t value_size) {
  return kBlock * (key_size + std::max(padded_value_size(value_size), kRowsTogether));
}

void attend_part(const RaggedHead& head, const QueryTile& tile, AttentionPart& part, float* scratch) {
  if (isa_is_scalar() || head.values_overflow) return scalar::attend_part(head, tile, part, scratch);
  HWY_DYNAMIC_DISPATCH(AttendPart)(head, tile, part, scratch);
}

void merge_parts(const RaggedHead& head, const QueryTile& tile, const AttentionPart* parts, std::size_t part_count,
                 const float* sinks, float* const* outputs, float* group_mean, std::size_t stride) {
  if (isa_is_scalar()) return scalar::merge_parts(head, tile, parts, part_count, sinks, outputs, group_mean, stride);
  HWY_DYNAMIC_DISPATCH(MergeParts)(head, tile, parts, part_count, sinks, outputs, group_mean, stride);
}

void floats_to_halves(const float* from, std::uint16_t* to, std::size_t count) {
  if (!isa_is_scalar()) return HWY_DYNAMIC_DISPATCH(FloatsToHalves)(from, to, count);
  for (std::size_t i = 0; i < count; ++i) to[i] = float_to_half(from[i]);
}

}  // namespace namm::kernels
#endif
