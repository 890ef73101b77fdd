#include "kernels/key_probe.hpp"

#include <algorithm>

#include "kernels/isa.hpp"

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
using V = hn::Vec<F32>;

constexpr std::size_t kParts = kChains / hn::MaxLanes(F32());  // vectors that make up a chunk of 16 numbers

/// `kHeads` heads at once: what was read serves them all, and their chains stay in registers.
template <std::size_t kHeads>
void probe_heads(const TokenRows& rows, const float* HWY_RESTRICT weights, std::size_t weight_stride, float* HWY_RESTRICT scores,
                 std::size_t score_stride) {
  const F32 d;
  const std::size_t lanes = hn::Lanes(d), whole = rows.numbers / kChains * kChains, rest = rows.numbers - whole;
  HWY_ALIGN float last_weights[kHeads][kChains] = {};
  for (std::size_t h = 0; h < kHeads; ++h)
    for (std::size_t i = 0; i < rest; ++i) last_weights[h][i] = weights[h * weight_stride + whole + i];
  for (std::size_t token = 0; token < rows.count; ++token) {
    const float* const row = rows.data + token * rows.stride;
    V chains[kHeads][kParts];
    for (std::size_t h = 0; h < kHeads; ++h)
      for (std::size_t p = 0; p < kParts; ++p) chains[h][p] = hn::Zero(d);
    for (std::size_t i = 0; i < whole; i += kChains)
      for (std::size_t p = 0; p < kParts; ++p) {
        const V numbers = hn::LoadU(d, row + i + p * lanes);
        for (std::size_t h = 0; h < kHeads; ++h)
          chains[h][p] = hn::MulAdd(numbers, hn::LoadU(d, weights + h * weight_stride + i + p * lanes), chains[h][p]);
      }
    if (rest > 0) {  // never reads behind the row
      HWY_ALIGN float tail[kChains] = {};
      std::copy_n(row + whole, rest, tail);
      for (std::size_t p = 0; p < kParts; ++p)
        for (std::size_t h = 0; h < kHeads; ++h)
          chains[h][p] = hn::MulAdd(hn::Load(d, tail + p * lanes), hn::Load(d, last_weights[h] + p * lanes), chains[h][p]);
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

void ProbeRows(const TokenRows& rows, const float* weights, std::size_t weight_stride, std::size_t heads, float* scores,
               std::size_t score_stride) {
  std::size_t h = 0;
  for (; h + 3 <= heads; h += 3)
    probe_heads<3>(rows, weights + h * weight_stride, weight_stride, scores + h * score_stride, score_stride);
  for (; h + 2 <= heads; h += 2)
    probe_heads<2>(rows, weights + h * weight_stride, weight_stride, scores + h * score_stride, score_stride);
  for (; h < heads; ++h)
    probe_heads<1>(rows, weights + h * weight_stride, weight_stride, scores + h * score_stride, score_stride);
}

}  // namespace namm::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace namm::kernels {
namespace {
HWY_EXPORT(ProbeRows);
}  // namespace

void probe_rows(const TokenRows& rows, const float* weights, std::size_t weight_stride, int heads, float* scores,
                std::size_t score_stride) {
  if (isa_is_scalar()) return scalar::probe_rows(rows, weights, weight_stride, heads, scores, score_stride);
  HWY_DYNAMIC_DISPATCH(ProbeRows)(rows, weights, weight_stride, static_cast<std::size_t>(heads), scores, score_stride);
}

}  // namespace namm::kernels
#endif
