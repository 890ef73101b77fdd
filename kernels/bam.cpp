// Vector code of BAM, compiled once per instruction set and chosen at run time. Both products are outer products of register
// tiles: queries by two vectors of keys, then queries by the values' 32 numbers. The order of every sum is that of the scalar
// twin, whatever the width of a vector.
#include "kernels/bam.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <exception>

#include "kernels/bam_parts.hpp"
#include "kernels/isa.hpp"

// clang-format off
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/bam.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace namm::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using F32 = hn::CappedTag<float, kBamLanes>;
using U32 = hn::RebindToUnsigned<F32>;
using V = hn::Vec<F32>;

/// exp(x) for x <= 0, zero below -87.
HWY_INLINE V exp_negative(V x) {
  const F32 d;
  const U32 du;
  const V shifted = hn::MulAdd(x, hn::Set(d, kBamLog2e), hn::Set(d, kBamShift));
  const V n = hn::Sub(shifted, hn::Set(d, kBamShift));
  const V r = hn::NegMulAdd(n, hn::Set(d, kBamLn2Low), hn::NegMulAdd(n, hn::Set(d, kBamLn2High), x));
  V p = hn::Set(d, kBamExp[0]);
  for (int i = 1; i < 6; ++i) p = hn::MulAdd(p, r, hn::Set(d, kBamExp[i]));
  p = hn::Add(hn::MulAdd(p, hn::Mul(r, r), r), hn::Set(d, 1.0f));
  const auto bits = hn::Add(hn::BitCast(du, p), hn::ShiftLeft<23>(hn::BitCast(du, shifted)));
  return hn::IfThenElseZero(hn::Ge(x, hn::Set(d, kBamLowest)), hn::BitCast(d, bits));
}

/// Queries, keys and values of tokens [begin, end).
void Project(const float* HWY_RESTRICT features, std::size_t begin, std::size_t end, std::size_t width, const float* parameters,
             BamMemory& memory) {
  const F32 d;
  const std::size_t lanes = hn::Lanes(d);
  const BamWeights weights(parameters, width);
  const V scale = hn::Set(d, 1.0f / std::sqrt(static_cast<float>(kBamHead)));
  HWY_ALIGN float key[kBamHead];
  for (std::size_t token = begin; token < end; ++token) {
    const float* const feature = features + token * width;
    for (std::size_t o = 0; o < kBamHead; o += lanes) {
      V q = hn::LoadU(d, weights.qkv_bias + o), k = hn::LoadU(d, weights.qkv_bias + kBamHead + o),
        v = hn::LoadU(d, weights.qkv_bias + 2 * kBamHead + o);
      const float* from = weights.qkv + o;
      for (std::size_t i = 0; i < width; ++i, from += 3 * kBamHead) {
        const V x = hn::Set(d, feature[i]);
        q = hn::MulAdd(x, hn::LoadU(d, from), q);
        k = hn::MulAdd(x, hn::LoadU(d, from + kBamHead), k);
        v = hn::MulAdd(x, hn::LoadU(d, from + 2 * kBamHead), v);
      }
      hn::StoreU(hn::Mul(q, scale), d, memory.queries.data() + token * kBamHead + o);
      hn::Store(k, d, key + o);
      hn::StoreU(v, d, memory.values.data() + token * kBamHead + o);
    }
    float* const tile = memory.keys.data() + token / kBamTile * (kBamHead * kBamTile) + token % kBamTile;
    for (std::size_t n = 0; n < kBamHead; ++n) tile[n * kBamTile] = key[n];
  }
}

/// logits[q][0..64) = queries[q] . keys of the tile.
template <std::size_t kRows>
HWY_INLINE void multiply_keys(const float* HWY_RESTRICT queries, const float* HWY_RESTRICT keys,
                              float (*HWY_RESTRICT logits)[kBamTile]) {
  const F32 d;
  const std::size_t lanes = hn::Lanes(d);
  for (std::size_t j = 0; j < kBamTile; j += 2 * lanes) {
    V left[kRows], right[kRows];
    for (std::size_t q = 0; q < kRows; ++q) left[q] = right[q] = hn::Zero(d);
    for (std::size_t n = 0; n < kBamHead; ++n) {
      const V a = hn::LoadU(d, keys + n * kBamTile + j), b = hn::LoadU(d, keys + n * kBamTile + j + lanes);
      for (std::size_t q = 0; q < kRows; ++q) {
        const V x = hn::Set(d, queries[q * kBamHead + n]);
        left[q] = hn::MulAdd(x, a, left[q]);
        right[q] = hn::MulAdd(x, b, right[q]);
      }
    }
    for (std::size_t q = 0; q < kRows; ++q) {
      hn::StoreU(left[q], d, logits[q] + j);
      hn::StoreU(right[q], d, logits[q] + j + lanes);
    }
  }
}

/// output[q] += sum over the tile's keys [0, count) of weights[q][j] * values[j].
template <std::size_t kRows>
HWY_INLINE void add_values(const float (*HWY_RESTRICT weights)[kBamTile], const float* HWY_RESTRICT values, std::size_t count,
                           float* HWY_RESTRICT output) {
  const F32 d;
  const std::size_t lanes = hn::Lanes(d);
  for (std::size_t n = 0; n < kBamHead; n += 2 * lanes) {
    V left[kRows], right[kRows];
    for (std::size_t q = 0; q < kRows; ++q) {
      left[q] = hn::LoadU(d, output + q * kBamHead + n);
      right[q] = hn::LoadU(d, output + q * kBamHead + n + lanes);
    }
    for (std::size_t j = 0; j < count; ++j) {
      const V a = hn::LoadU(d, values + j * kBamHead + n), b = hn::LoadU(d, values + j * kBamHead + n + lanes);
      for (std::size_t q = 0; q < kRows; ++q) {
        const V w = hn::Set(d, weights[q][j]);
        left[q] = hn::MulAdd(w, a, left[q]);
        right[q] = hn::MulAdd(w, b, right[q]);
      }
    }
    for (std::size_t q = 0; q < kRows; ++q) {
      hn::StoreU(left[q], d, output + q * kBamHead + n);
      hn::StoreU(right[q], d, output + q * kBamHead + n + lanes);
    }
  }
}

/// One query's step of the online softmax: logits of a tile become weights, output and sum move to the new maximum.
/// Only keys [first, count) of the tile exist for the query.
HWY_INLINE void soften(float* HWY_RESTRICT logits, std::size_t first, std::size_t count, float& maximum, float& sum,
                       float* HWY_RESTRICT output) {
  const F32 d;
  const std::size_t lanes = hn::Lanes(d);
  for (std::size_t j = 0; j < first; ++j) logits[j] = -INFINITY;
  for (std::size_t j = count; j < kBamTile; ++j) logits[j] = -INFINITY;
  V best = hn::LoadU(d, logits);
  for (std::size_t j = lanes; j < kBamTile; j += lanes) best = hn::Max(best, hn::LoadU(d, logits + j));
  const float largest = std::max(maximum, hn::GetLane(hn::MaxOfLanes(d, best)));
  if (largest > maximum) {
    const V rescale = exp_negative(hn::Set(d, maximum - largest));
    sum *= hn::GetLane(rescale);
    for (std::size_t n = 0; n < kBamHead; n += lanes) hn::StoreU(hn::Mul(hn::LoadU(d, output + n), rescale), d, output + n);
    maximum = largest;
  }
  HWY_ALIGN float total[kBamLanes] = {};
  for (std::size_t lane = 0; lane < kBamLanes; lane += lanes) {
    V chain = hn::Zero(d);
    for (std::size_t j = lane; j < kBamTile; j += kBamLanes) {
      const V weight = exp_negative(hn::Sub(hn::LoadU(d, logits + j), hn::Set(d, largest)));
      chain = hn::Add(chain, weight);
      hn::StoreU(weight, d, logits + j);
    }
    hn::Store(chain, d, total + lane);
  }
  for (const float lane : total) sum += lane;
}

/// s = (F * (1 + mul) + res) w + b with [res, mul] = o W_o + b_o.
HWY_INLINE float read_out(const float* HWY_RESTRICT feature, std::size_t width, const float* HWY_RESTRICT output,
                          const BamMemory& memory, float score_bias) {
  const F32 d;
  const std::size_t padded = memory.padded_width;
  HWY_ALIGN float total[kBamLanes] = {};
  for (std::size_t i = 0; i < padded; i += hn::Lanes(d)) {
    V residual = hn::LoadU(d, memory.out.data() + i), multiplier = hn::LoadU(d, memory.out.data() + padded + i);
    const float* row = memory.out.data() + 2 * padded + i;
    for (std::size_t n = 0; n < kBamHead; ++n, row += 2 * padded) {
      const V value = hn::Set(d, output[n]);
      residual = hn::MulAdd(value, hn::LoadU(d, row), residual);
      multiplier = hn::MulAdd(value, hn::LoadU(d, row + padded), multiplier);
    }
    HWY_ALIGN float numbers[kBamLanes] = {};  // nothing is read behind the last token
    for (std::size_t k = i; k < std::min(width, i + hn::Lanes(d)); ++k) numbers[k - i] = feature[k];
    const V x = hn::Load(d, numbers);
    float* const lane = total + i % kBamLanes;
    hn::Store(hn::MulAdd(hn::MulAdd(x, hn::Add(hn::Set(d, 1.0f), multiplier), residual), hn::LoadU(d, memory.score.data() + i),
                         hn::Load(d, lane)),
              d, lane);
  }
  float score = score_bias;
  for (const float lane : total) score += lane;
  return score;
}

/// Scores of queries [begin, end); begin is a multiple of kBamQueries.
void Attend(const float* HWY_RESTRICT features, std::size_t tokens, std::size_t width, const float* parameters,
            const BamMemory& memory, std::size_t begin, std::size_t end, float* HWY_RESTRICT scores) {
  // 32 registers carry 8 queries by two vectors, 16 carry 4 by two
  constexpr std::size_t kRows = HWY_TARGET <= HWY_AVX3 ? kBamQueries : kBamQueries / 2;
  const float score_bias = BamWeights(parameters, width).score_bias;
  for (std::size_t query = begin; query < end; query += kBamQueries) {
    HWY_ALIGN float logits[kBamQueries][kBamTile], output[kBamQueries * kBamHead] = {};
    float maximum[kBamQueries], sum[kBamQueries] = {};
    std::fill_n(maximum, kBamQueries, -1e30f);
    for (std::size_t tile = query / kBamTile * kBamTile; tile < tokens; tile += kBamTile) {
      const std::size_t count = std::min(kBamTile, tokens - tile);
      for (std::size_t q = 0; q < kBamQueries; q += kRows)
        multiply_keys<kRows>(memory.queries.data() + (query + q) * kBamHead, memory.keys.data() + tile * kBamHead, logits + q);
      for (std::size_t q = 0; q < kBamQueries; ++q) {
        const std::size_t first = query + q > tile ? query + q - tile : 0;  // older keys
        soften(logits[q], std::min(first, kBamTile), count, maximum[q], sum[q], output + q * kBamHead);
      }
      for (std::size_t q = 0; q < kBamQueries; q += kRows)
        add_values<kRows>(logits + q, memory.values.data() + tile * kBamHead, count, output + q * kBamHead);
    }
    for (std::size_t q = 0; q < std::min(kBamQueries, end - query); ++q) {
      const float inverse = sum[q] > 0.0f ? 1.0f / sum[q] : 0.0f;
      for (std::size_t n = 0; n < kBamHead; ++n) output[q * kBamHead + n] *= inverse;
      scores[query + q] = read_out(features + (query + q) * width, width, output + q * kBamHead, memory, score_bias);
    }
  }
}

}  // namespace namm::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace namm::kernels {
namespace {

HWY_EXPORT(Project);
HWY_EXPORT(Attend);

constexpr std::size_t kChunk = 128;  // queries a thread takes at once where a problem is shared; a multiple of kBamQueries

void score_one(const BamProblem& p, std::size_t width, BamMemory& memory) {
  if (p.tokens == 0) return;
  if (isa_is_scalar()) return scalar::bam_scores(p.features, p.tokens, width, p.parameters, p.scores);
  memory.prepare(p.tokens, width, {p.parameters, width});
  HWY_DYNAMIC_DISPATCH(Project)(p.features, 0, p.tokens, width, p.parameters, memory);
  HWY_DYNAMIC_DISPATCH(Attend)(p.features, p.tokens, width, p.parameters, memory, 0, p.tokens, p.scores);
}

/// One problem on all threads: a long list must not run on one while the others are done.
void score_shared(const BamProblem& p, std::size_t width, [[maybe_unused]] int threads, BamMemory& memory) {
  memory.prepare(p.tokens, width, {p.parameters, width});
  const auto chunks = static_cast<std::ptrdiff_t>((p.tokens + kChunk - 1) / kChunk);
#pragma omp parallel num_threads(threads)
  {
#pragma omp for schedule(dynamic, 1)
    for (std::ptrdiff_t c = 0; c < chunks; ++c) {
      const std::size_t begin = static_cast<std::size_t>(c) * kChunk;
      HWY_DYNAMIC_DISPATCH(Project)(p.features, begin, std::min(begin + kChunk, p.tokens), width, p.parameters, memory);
    }
#pragma omp for schedule(dynamic, 1)
    for (std::ptrdiff_t c = 0; c < chunks; ++c) {  // oldest first: they see the most keys
      const std::size_t begin = static_cast<std::size_t>(c) * kChunk;
      HWY_DYNAMIC_DISPATCH(Attend)
      (p.features, p.tokens, width, p.parameters, memory, begin, std::min(begin + kChunk, p.tokens), p.scores);
    }
  }
}

}  // namespace

void bam_scores(const float* features, std::size_t tokens, std::size_t width, const float* parameters, float* scores) {
  BamMemory memory;
  score_one({features, tokens, parameters, scores}, width, memory);
}

void bam_scores(std::span<const BamProblem> problems, std::size_t width, int threads) {
  const auto count = static_cast<std::ptrdiff_t>(problems.size());
  if (count < 2 * threads && threads > 1 && !isa_is_scalar()) {
    BamMemory memory;
    for (const BamProblem& problem : problems)
      if (problem.tokens > 0) score_shared(problem, width, threads, memory);
    return;
  }
  std::exception_ptr error;  // none may leave the team: memory that is refused
#pragma omp parallel num_threads(threads) if (threads > 1)
  {
    BamMemory memory;
#pragma omp for schedule(dynamic, 1)
    for (std::ptrdiff_t i = 0; i < count; ++i) try {
        score_one(problems[static_cast<std::size_t>(i)], width, memory);
      } catch (...) {
#pragma omp critical(namm_bam_error)
        error = std::current_exception();
      }
  }
  if (error) std::rethrow_exception(error);
}

void bam_scores_population(const float* features, std::size_t tokens, std::size_t width, const float* parameters,
                           std::size_t candidates, float* scores, int threads) {
  std::vector<BamProblem> problems(candidates);
  for (std::size_t c = 0; c < candidates; ++c)
    problems[c] = {features, tokens, parameters + c * bam_parameter_count(width), scores + c * tokens};
  bam_scores(problems, width, threads);
}

}  // namespace namm::kernels
#endif
