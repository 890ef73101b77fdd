// Products of ragged attention in register tiles: 6 rows (query heads) by 2 or 4 vectors of entries or value numbers, read as
// F32, as halves, or as codes of 8 or 4 bits (row_format.hpp). Included once per instruction set, behind highway.h.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "kernels/row_format.hpp"

// as Highway's own -inl.h: once for each target that foreach_target goes through
#if defined(NAMM_REGISTER_TILES_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef NAMM_REGISTER_TILES_INL
#undef NAMM_REGISTER_TILES_INL
#else
#define NAMM_REGISTER_TILES_INL
#endif

HWY_BEFORE_NAMESPACE();
namespace namm::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using F32 = hn::ScalableTag<float>;
using F16 = hn::Rebind<hwy::float16_t, F32>;
using I8 = hn::Rebind<std::int8_t, F32>;
using I32 = hn::RebindToSigned<F32>;

HWY_INLINE hn::Vec<F32> load(const float* from) {
  return hn::LoadU(F32(), from);
}
HWY_INLINE hn::Vec<F32> load(const std::uint16_t* from) {
  const auto out = hn::PromoteTo(F32(), hn::LoadU(F16(), reinterpret_cast<const hwy::float16_t*>(from)));
#if HWY_TARGET == HWY_SSE4 || HWY_TARGET == HWY_SSSE3
  // without an instruction for it infinity comes out as 65,536, and NaN as more
  const auto size = hn::Abs(out), beyond = hn::Set(F32(), 65536.0f);
  const auto infinite = hn::IfThenElse(hn::Eq(size, beyond), hn::Mul(out, hn::Inf(F32())), out);
  return hn::IfThenElse(hn::Gt(size, beyond), hn::NaN(F32()), infinite);
#else
  return out;
#endif
}

HWY_INLINE hn::Vec<F32> load(const std::int8_t* from) {
  return hn::ConvertTo(F32(), hn::PromoteTo(I32(), hn::LoadU(I8(), from)));
}

// The codes of both halves of a byte: numbers k and k + half of a group of 4 bits (row_format.hpp).
struct BothHalves {
  hn::Vec<F32> low, high;
};
HWY_INLINE BothHalves load_halves(const std::int8_t* from) {
  const auto bytes = hn::PromoteTo(I32(), hn::LoadU(I8(), from));
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3
  // 16 floats are looked up by the low half of each index, which is what a code is
  alignas(64) static constexpr float kCodes[16] = {0, 1, 2, 3, 4, 5, 6, 7, -8, -7, -6, -5, -4, -3, -2, -1};
  const auto table = hn::Load(F32(), kCodes);
  return {hn::TableLookupLanes(table, hn::Indices512<float>{bytes.raw}),
          hn::TableLookupLanes(table, hn::Indices512<float>{hn::ShiftRight<4>(bytes).raw})};
#else
  return {hn::ConvertTo(F32(), hn::ShiftRight<28>(hn::ShiftLeft<28>(bytes))), hn::ConvertTo(F32(), hn::ShiftRight<4>(bytes))};
#endif
}

// c[row][0 .. vectors) += sum_k a[row][k] * b[k][0 .. vectors), all of it held in registers.
template <int kRows, int kVectors, class B>
HWY_INLINE void register_tile(const float* HWY_RESTRICT a, std::size_t a_stride, const B* HWY_RESTRICT b, std::size_t b_stride,
                              std::size_t depth, float* HWY_RESTRICT c, std::size_t c_stride) {
  const F32 d;
  const std::size_t lanes = hn::Lanes(d);
  hn::Vec<F32> acc[kRows][kVectors];
  for (int r = 0; r < kRows; ++r)
    for (int v = 0; v < kVectors; ++v) acc[r][v] = hn::LoadU(d, c + r * c_stride + v * lanes);
  for (std::size_t k = 0; k < depth; ++k) {
    hn::Vec<F32> column[kVectors];
    for (int v = 0; v < kVectors; ++v) column[v] = load(b + k * b_stride + v * lanes);
    for (int r = 0; r < kRows; ++r) {
      const auto weight = hn::Set(d, a[r * a_stride + k]);
      for (int v = 0; v < kVectors; ++v) acc[r][v] = hn::MulAdd(weight, column[v], acc[r][v]);
    }
  }
  for (int r = 0; r < kRows; ++r)
    for (int v = 0; v < kVectors; ++v) hn::StoreU(acc[r][v], d, c + r * c_stride + v * lanes);
}

// c[rows][width] += a[rows][depth] * b[depth][width]; width is a multiple of 16. kMost: vectors side by side.
template <int kMost = 4, class B>
void multiply(const float* a, std::size_t a_stride, std::size_t rows, const B* b, std::size_t b_stride, std::size_t depth,
              std::size_t width, float* c, std::size_t c_stride) {
  // 32 vector registers carry 6 x 4 accumulators, 16 carry 6 x 2
  constexpr int kVectors = HWY_TARGET <= HWY_AVX3 && kMost == 4 ? 4 : 2;
  const std::size_t step = kVectors * hn::Lanes(F32());
  const auto columns = [&](auto vectors, std::size_t x) {
    constexpr int kV = decltype(vectors)::value;
    std::size_t r = 0;
    for (; r + 6 <= rows; r += 6)
      register_tile<6, kV>(a + r * a_stride, a_stride, b + x, b_stride, depth, c + r * c_stride + x, c_stride);
    for (; r + 3 <= rows; r += 3)
      register_tile<3, kV>(a + r * a_stride, a_stride, b + x, b_stride, depth, c + r * c_stride + x, c_stride);
    for (; r < rows; ++r)
      register_tile<1, kV>(a + r * a_stride, a_stride, b + x, b_stride, depth, c + r * c_stride + x, c_stride);
  };
  std::size_t x = 0;
  for (; x + step <= width; x += step) columns(std::integral_constant<int, kVectors>(), x);
  for (; x < width; x += hn::Lanes(F32())) columns(std::integral_constant<int, 1>(), x);
}

// c[row][64] += the products with a group of keys in codes, by the scale of each entry. multiply(place of a vector's bytes, k,
// add) calls add(which of a's numbers, as many keys) for what row k of the group's bytes holds.
template <int kRows, class Multiply>
HWY_INLINE void key_codes_tile(const float* HWY_RESTRICT a, std::size_t a_stride, std::size_t depth,
                               const std::uint16_t* HWY_RESTRICT scales, float* HWY_RESTRICT c, std::size_t c_stride,
                               const Multiply& multiply) {
  constexpr int kVectors = HWY_TARGET <= HWY_AVX3 ? 4 : 2;
  const F32 d;
  const std::size_t lanes = hn::Lanes(d);
  for (std::size_t x = 0; x < kBlock; x += kVectors * lanes) {
    hn::Vec<F32> acc[kRows][kVectors];
    for (int r = 0; r < kRows; ++r)
      for (int v = 0; v < kVectors; ++v) acc[r][v] = hn::Zero(d);
    for (std::size_t k = 0; k < depth; ++k)
      for (int v = 0; v < kVectors; ++v)
        multiply(k * kBlock + x + v * lanes, k, [&](std::size_t which, hn::Vec<F32> keys) HWY_ATTR {
          for (int r = 0; r < kRows; ++r) acc[r][v] = hn::MulAdd(hn::Set(d, a[r * a_stride + which]), keys, acc[r][v]);
        });
    for (int v = 0; v < kVectors; ++v) {
      const auto scale = load(scales + x + v * lanes);
      for (int r = 0; r < kRows; ++r) {
        float* const to = c + r * c_stride + x + v * lanes;
        hn::StoreU(hn::MulAdd(acc[r][v], scale, hn::LoadU(d, to)), d, to);
      }
    }
  }
}

// c[row][32] += sum over entries of weight * value of a whole group of values in 4 bits: b [depth][b_stride], 16 bytes of each.
template <int kRows>
HWY_INLINE void value_halves_tile(const float* HWY_RESTRICT a, std::size_t a_stride, const std::int8_t* HWY_RESTRICT b,
                                  std::size_t b_stride, std::size_t depth, float* HWY_RESTRICT c, std::size_t c_stride) {
  constexpr std::size_t kHalf = kScaleGroup / 2;
  const F32 d;
  for (std::size_t x = 0; x < kHalf; x += hn::Lanes(d)) {
    hn::Vec<F32> low[kRows], high[kRows];
    for (int r = 0; r < kRows; ++r) {
      low[r] = hn::LoadU(d, c + r * c_stride + x);
      high[r] = hn::LoadU(d, c + r * c_stride + kHalf + x);
    }
    for (std::size_t k = 0; k < depth; ++k) {
      const BothHalves codes = load_halves(b + k * b_stride + x);
      for (int r = 0; r < kRows; ++r) {
        const auto weight = hn::Set(d, a[r * a_stride + k]);
        low[r] = hn::MulAdd(weight, codes.low, low[r]);
        high[r] = hn::MulAdd(weight, codes.high, high[r]);
      }
    }
    for (int r = 0; r < kRows; ++r) {
      hn::StoreU(low[r], d, c + r * c_stride + x);
      hn::StoreU(high[r], d, c + r * c_stride + kHalf + x);
    }
  }
}

// tile(rows at once, first row) for all rows, three at a time: more would not fit into 16 registers.
template <class Tile>
HWY_INLINE void by_three(std::size_t rows, const Tile& tile) {
  std::size_t r = 0;
  for (; r + 3 <= rows; r += 3) tile(std::integral_constant<int, 3>(), r);
  for (; r < rows; ++r) tile(std::integral_constant<int, 1>(), r);
}

}  // namespace namm::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
