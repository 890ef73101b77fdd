#include "kernels/key_probe.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>

#include "kernels/half.hpp"
#include "kernels/isa.hpp"
#include "kernels/ragged_attention.hpp"

// clang-format off
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/key_probe.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace namm::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr std::size_t kChains = 16;
using F32 = hn::CappedTag<float, kChains>;
using F16 = hn::Rebind<hwy::float16_t, F32>;
using U16 = hn::Rebind<std::uint16_t, F32>;
using I8 = hn::Rebind<std::int8_t, F32>;
using V = hn::Vec<F32>;

constexpr std::size_t kParts = kChains / hn::MaxLanes(F32());  // vectors that make up a chunk of 16 numbers

/// Vector `part` of the 16 numbers from the i-th on; i is a multiple of 16.
template <RowType kType>
HWY_INLINE V load_part(const std::byte* row, std::size_t i, std::size_t part) {
  const F32 d;
  const std::size_t at = i + part * hn::Lanes(d);
  if constexpr (kType == RowType::f32) {
    return hn::LoadU(d, reinterpret_cast<const float*>(row + 4 * at));
  } else if constexpr (kType == RowType::f16) {
    return hn::PromoteTo(d, hn::LoadU(F16(), reinterpret_cast<const hwy::float16_t*>(row + 2 * at)));
  } else if constexpr (kType == RowType::bf16) {
    const hn::RebindToUnsigned<F32> du;
    const auto halves = hn::LoadU(U16(), reinterpret_cast<const std::uint16_t*>(row + 2 * at));
    return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(du, halves)));
  } else {
    const std::byte* const block = row + at / 32 * 34;
    std::uint16_t half;
    std::memcpy(&half, block, sizeof half);
    const auto bytes = hn::LoadU(I8(), reinterpret_cast<const std::int8_t*>(block + 2 + at % 32));
    return hn::Mul(hn::ConvertTo(d, hn::PromoteTo(hn::RebindToSigned<F32>(), bytes)), hn::Set(d, half_to_float(half)));
  }
}

/// `kHeads` heads at once: what was converted serves them all, and their chains stay in registers.
template <RowType kType, std::size_t kHeads>
void probe_heads(const TokenRows& rows, const float* HWY_RESTRICT weights, std::size_t weight_stride, float* HWY_RESTRICT scores,
                 std::size_t score_stride) {
  const F32 d;
  const std::size_t lanes = hn::Lanes(d), whole = rows.numbers / kChains * kChains, rest = rows.numbers - whole;
  HWY_ALIGN float last_weights[kHeads][kChains] = {};
  for (std::size_t h = 0; h < kHeads; ++h)
    for (std::size_t i = 0; i < rest; ++i) last_weights[h][i] = weights[h * weight_stride + whole + i];
  for (std::size_t token = 0; token < rows.count; ++token) {
    const std::byte* const row = static_cast<const std::byte*>(rows.data) + token * rows.stride_bytes;
    V chains[kHeads][kParts];
    for (std::size_t h = 0; h < kHeads; ++h)
      for (std::size_t p = 0; p < kParts; ++p) chains[h][p] = hn::Zero(d);
    for (std::size_t i = 0; i < whole; i += kChains)
      for (std::size_t p = 0; p < kParts; ++p) {
        const V numbers = load_part<kType>(row, i, p);
        for (std::size_t h = 0; h < kHeads; ++h)
          chains[h][p] = hn::MulAdd(numbers, hn::LoadU(d, weights + h * weight_stride + i + p * lanes), chains[h][p]);
      }
    if (rest > 0) {  // never reads behind the row
      std::byte tail[kChains * sizeof(float)] = {};
      std::memcpy(tail, row + row_bytes(kType, whole), row_bytes(kType, rest));
      for (std::size_t p = 0; p < kParts; ++p)
        for (std::size_t h = 0; h < kHeads; ++h)
          chains[h][p] = hn::MulAdd(load_part<kType>(tail, 0, p), hn::Load(d, last_weights[h] + p * lanes), chains[h][p]);
    }
    for (std::size_t h = 0; h < kHeads; ++h) {
      HWY_ALIGN float sums[kChains];
      for (std::size_t p = 0; p < kParts; ++p) hn::Store(chains[h][p], d, sums + p * lanes);
      for (std::size_t n = kChains / 2; n > 0; n /= 2)
        for (std::size_t i = 0; i < n; ++i) sums[i] += sums[i + n];
      scores[h * score_stride + token] += sums[0];
    }
  }
}

template <RowType kType>
void probe_typed(const TokenRows& rows, const float* weights, std::size_t weight_stride, std::size_t heads, float* scores,
                 std::size_t score_stride) {
  std::size_t h = 0;
  for (; h + 3 <= heads; h += 3)
    probe_heads<kType, 3>(rows, weights + h * weight_stride, weight_stride, scores + h * score_stride, score_stride);
  for (; h + 2 <= heads; h += 2)
    probe_heads<kType, 2>(rows, weights + h * weight_stride, weight_stride, scores + h * score_stride, score_stride);
  for (; h < heads; ++h)
    probe_heads<kType, 1>(rows, weights + h * weight_stride, weight_stride, scores + h * score_stride, score_stride);
}

void ProbeRows(const TokenRows& rows, const float* weights, std::size_t weight_stride, std::size_t heads, float* scores,
               std::size_t score_stride) {
  switch (rows.type) {
    case RowType::f32:
      return probe_typed<RowType::f32>(rows, weights, weight_stride, heads, scores, score_stride);
    case RowType::f16:
      return probe_typed<RowType::f16>(rows, weights, weight_stride, heads, scores, score_stride);
    case RowType::bf16:
      return probe_typed<RowType::bf16>(rows, weights, weight_stride, heads, scores, score_stride);
    case RowType::q8_0:
      return probe_typed<RowType::q8_0>(rows, weights, weight_stride, heads, scores, score_stride);
  }
}

void ProbeBlocks(const std::uint16_t* HWY_RESTRICT keys, std::size_t count, std::size_t key_size,
                 const float* HWY_RESTRICT weights, float* HWY_RESTRICT scores) {
  const F32 d;
  const std::size_t lanes = hn::Lanes(d);
  for (std::size_t begin = 0; begin < count; begin += kChains) {
    const std::uint16_t* const from = keys + begin / kBlock * key_size * kBlock + begin % kBlock;
    for (std::size_t l = 0; l < kChains && begin + l < count; l += lanes) {
      V sum = hn::Zero(d);
      for (std::size_t n = 0; n < key_size; ++n)
        sum = hn::MulAdd(hn::PromoteTo(d, hn::LoadU(F16(), reinterpret_cast<const hwy::float16_t*>(from + n * kBlock + l))),
                         hn::Set(d, weights[n]), sum);
      HWY_ALIGN float out[kChains];
      hn::Store(sum, d, out);
      for (std::size_t i = 0; i < std::min(lanes, count - begin - l); ++i) scores[begin + l + i] += out[i];
    }
  }
}

}  // namespace namm::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace namm::kernels {
namespace {
HWY_EXPORT(ProbeRows);
HWY_EXPORT(ProbeBlocks);
}  // namespace

void probe_rows(const TokenRows& rows, const float* weights, std::size_t weight_stride, int heads, float* scores,
                std::size_t score_stride) {
  if (rows.type == RowType::q8_0 && rows.numbers % 32 != 0)
    throw std::invalid_argument("key probe: q8_0 rows must hold a multiple of 32 numbers, hold " + std::to_string(rows.numbers) +
                                "; use another type for this head size");
  if (isa_is_scalar()) return scalar::probe_rows(rows, weights, weight_stride, heads, scores, score_stride);
  HWY_DYNAMIC_DISPATCH(ProbeRows)(rows, weights, weight_stride, static_cast<std::size_t>(heads), scores, score_stride);
}

void probe_blocks(const std::uint16_t* keys, std::size_t count, std::size_t key_size, const float* weights, float* scores) {
  if (isa_is_scalar()) return scalar::probe_blocks(keys, count, key_size, weights, scores);
  HWY_DYNAMIC_DISPATCH(ProbeBlocks)(keys, count, key_size, weights, scores);
}

}  // namespace namm::kernels
#endif
