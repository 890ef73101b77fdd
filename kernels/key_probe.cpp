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

/// The 16 numbers from the i-th on, written to `to`; i is a multiple of 16.
template <RowType kType>
HWY_INLINE void load_chunk(const std::byte* row, std::size_t i, float* HWY_RESTRICT to) {
  const F32 d;
  const std::size_t lanes = hn::Lanes(d);
  if constexpr (kType == RowType::f32) {
    std::memcpy(to, row + 4 * i, kChains * sizeof(float));
  } else if constexpr (kType == RowType::q8_0) {
    const std::byte* const block = row + i / 32 * 34;
    std::uint16_t half;
    std::memcpy(&half, block, sizeof half);
    const V scale = hn::Set(d, half_to_float(half));
    const auto* const bytes = reinterpret_cast<const std::int8_t*>(block + 2 + i % 32);
    for (std::size_t k = 0; k < kChains; k += lanes) {
      const auto wide = hn::PromoteTo(hn::RebindToSigned<F32>(), hn::LoadU(I8(), bytes + k));
      hn::StoreU(hn::Mul(hn::ConvertTo(d, wide), scale), d, to + k);
    }
  } else {
    HWY_ALIGN std::uint16_t halves[kChains];  // rows need not be aligned to their numbers
    std::memcpy(halves, row + 2 * i, sizeof halves);
    for (std::size_t k = 0; k < kChains; k += lanes) {
      if constexpr (kType == RowType::f16) {
        hn::StoreU(hn::PromoteTo(d, hn::LoadU(F16(), reinterpret_cast<const hwy::float16_t*>(halves + k))), d, to + k);
      } else {
        const hn::RebindToUnsigned<F32> du;
        hn::StoreU(hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(du, hn::LoadU(U16(), halves + k)))), d, to + k);
      }
    }
  }
}

template <RowType kType>
void probe_typed(const TokenRows& rows, const float* HWY_RESTRICT weights, std::size_t weight_stride, std::size_t heads,
                 float* HWY_RESTRICT scores, std::size_t score_stride) {
  const F32 d;
  const std::size_t lanes = hn::Lanes(d), whole = rows.numbers / kChains * kChains, rest = rows.numbers - whole;
  constexpr std::size_t kTogether = 4;  // heads that share what was converted
  for (std::size_t h = 0; h < heads; h += kTogether) {
    const std::size_t together = std::min(kTogether, heads - h);
    const float* const own = weights + h * weight_stride;
    HWY_ALIGN float last_weights[kTogether][kChains] = {};
    for (std::size_t k = 0; k < together; ++k)
      for (std::size_t i = 0; i < rest; ++i) last_weights[k][i] = own[k * weight_stride + whole + i];
    for (std::size_t token = 0; token < rows.count; ++token) {
      const std::byte* const row = static_cast<const std::byte*>(rows.data) + token * rows.stride_bytes;
      HWY_ALIGN float chains[kTogether][kChains] = {};
      HWY_ALIGN float numbers[kChains];
      const auto add = [&](const float* HWY_RESTRICT from, std::size_t stride) {
        for (std::size_t k = 0; k < together; ++k)
          for (std::size_t l = 0; l < kChains; l += lanes)
            hn::Store(hn::MulAdd(hn::Load(d, numbers + l), hn::LoadU(d, from + k * stride + l), hn::Load(d, chains[k] + l)), d,
                      chains[k] + l);
      };
      for (std::size_t i = 0; i < whole; i += kChains) {
        load_chunk<kType>(row, i, numbers);
        add(own + i, weight_stride);
      }
      if (rest > 0) {  // never reads behind the row
        std::byte tail[kChains * sizeof(float)] = {};
        std::memcpy(tail, row + row_bytes(kType, whole), row_bytes(kType, rest));
        load_chunk<kType>(tail, 0, numbers);
        add(last_weights[0], kChains);
      }
      for (std::size_t k = 0; k < together; ++k) {
        float sum = 0;
        for (const float chain : chains[k]) sum += chain;
        scores[(h + k) * score_stride + token] += sum;
      }
    }
  }
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
