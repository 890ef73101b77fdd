#include "kernels/spectrogram.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "kernels/clones.hpp"

namespace namm::kernels {
namespace {

constexpr std::size_t kFrame = 32;
constexpr std::size_t kBins = kFrame / 2 + 1;
constexpr std::size_t kHopRows = kFrame / 2;
constexpr std::size_t kColumns = 1024;         // tokens worked on together: their rows and averages fit the second-level cache
constexpr std::size_t kPitch = kColumns + 16;  // distance of rows: a power of two would put them all into the same cache set
constexpr std::size_t kLanes = 16;             // tokens that are transformed together, one per vector lane

// cos(2 pi j / 32), j = 0..8; the other quadrants follow by symmetry. Literals, so that no libm decides the last bit.
constexpr std::array<double, 9> kCosine = {1.0,
                                           0.98078528040323044913,
                                           0.92387953251128675613,
                                           0.83146961230254523708,
                                           0.70710678118654752440,
                                           0.55557023301960222474,
                                           0.38268343236508977173,
                                           0.19509032201612826785,
                                           0.0};

constexpr double cosine(std::size_t j) {
  j %= kFrame;
  if (j > 16) j = kFrame - j;
  return j > 8 ? -kCosine[16 - j] : kCosine[j];
}
constexpr double sine(std::size_t j) {
  return cosine(j + 24);
}  // cos(x - pi/2)

/// Calls body(integral_constant 0) .. body(integral_constant N-1). The compiler sees straight-line code and vectorises over
/// tokens.
template <std::size_t N, typename Body>
[[gnu::always_inline]] inline void repeat(Body&& body) {
  [&]<std::size_t... k>(std::index_sequence<k...>) __attribute__((always_inline)) {
    (body(std::integral_constant<std::size_t, k>{}), ...);
  }
  (std::make_index_sequence<N>{});
}

/// Bins 0..N/2 of the DFT of the N real values x[0], x[stride], ..., decimation in time:
/// X[k] = E[k] + W^k O[k] and X[N/2 - k] = conj(E[k] - W^k O[k]), W = exp(-2 pi i / N).
template <std::size_t N, std::size_t stride>
[[gnu::always_inline]] inline void real_dft(const float* x, float* re, float* im) {
  if constexpr (N == 2) {
    re[0] = x[0] + x[stride];
    re[1] = x[0] - x[stride];
    im[0] = im[1] = 0.0f;
  } else {
    constexpr std::size_t half = N / 2;
    float even_re[half / 2 + 1], even_im[half / 2 + 1], odd_re[half / 2 + 1], odd_im[half / 2 + 1];
    real_dft<half, stride * 2>(x, even_re, even_im);
    real_dft<half, stride * 2>(x + stride, odd_re, odd_im);
    re[0] = even_re[0] + odd_re[0];
    re[half] = even_re[0] - odd_re[0];
    im[0] = im[half] = 0.0f;
    repeat<N / 4>([&](auto index) __attribute__((always_inline)) {
      constexpr std::size_t k = decltype(index)::value + 1;
      if constexpr (k == N / 4) {  // W^k = -i, E[k] and O[k] are real
        re[k] = even_re[k];
        im[k] = -odd_re[k];
      } else {
        constexpr float c = static_cast<float>(cosine(k * (kFrame / N)));
        constexpr float s = static_cast<float>(sine(k * (kFrame / N)));
        const float turned_re = odd_re[k] * c + odd_im[k] * s;
        const float turned_im = odd_im[k] * c - odd_re[k] * s;
        re[k] = even_re[k] + turned_re;
        im[k] = even_im[k] + turned_im;
        re[half - k] = even_re[k] - turned_re;
        im[half - k] = turned_im - even_im[k];
      }
    });
  }
}

/// magnitudes[k][lane] of the windowed frames x_lane[m] = rows[m][lane], kLanes of them.
[[gnu::always_inline]] inline void magnitudes_of_lanes(const float* const* rows, std::size_t first,
                                                       float (&magnitudes)[kBins][kLanes]) {
  const float* source[kFrame];
  for (std::size_t m = 0; m < kFrame; ++m) source[m] = rows[m] + first;
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    float x[kFrame], re[kBins], im[kBins];
    repeat<kFrame>([&](auto index) __attribute__((always_inline)) {
      constexpr std::size_t m = decltype(index)::value;
      constexpr float window = static_cast<float>(0.5 * (1.0 - cosine(m)));
      x[m] = window * source[m][lane];
    });
    real_dft<kFrame, 1>(x, re, im);
    repeat<kBins>([&](auto index) __attribute__((always_inline)) {
      constexpr std::size_t k = decltype(index)::value;
      magnitudes[k][lane] = std::sqrt(re[k] * re[k] + im[k] * im[k]);
    });
  }
}

/// Full blocks of kLanes tokens. magnitudes_only: ema is overwritten by the magnitudes.
NAMM_CLONES void advance_blocks(const float* const* rows, float* ema, std::size_t tokens, float decay, bool magnitudes_only) {
  const float gain = 1.0f - decay;
  for (std::size_t first = 0; first + kLanes <= tokens; first += kLanes) {
    float magnitudes[kBins][kLanes];
    magnitudes_of_lanes(rows, first, magnitudes);
    float* out = ema + first * kBins;
    for (std::size_t lane = 0; lane < kLanes; ++lane, out += kBins) {
      for (std::size_t k = 0; k < kBins; ++k) {
        out[k] = magnitudes_only ? magnitudes[k][lane] : decay * out[k] + gain * magnitudes[k][lane];
      }
    }
  }
}

/// The same with the averages of a token apart: ema[k * kPitch + i]. A token keeps its lane, so frame after frame of the same
/// tokens needs no shuffling.
NAMM_CLONES void advance_columns(const float* const* rows, float* ema, std::size_t tokens, float decay) {
  const float gain = 1.0f - decay;
  for (std::size_t first = 0; first < tokens; first += kLanes) {
    float magnitudes[kBins][kLanes];
    magnitudes_of_lanes(rows, first, magnitudes);
    for (std::size_t k = 0; k < kBins; ++k) {
      float* const out = ema + k * kPitch + first;
      for (std::size_t lane = 0; lane < kLanes; ++lane) out[lane] = decay * out[lane] + gain * magnitudes[k][lane];
    }
  }
}

/// out[i] = mean over the group of heads[h][begin + i]; sums in the order of the heads.
template <int kGroup>
[[gnu::always_inline]] inline void add_heads(const float* const* heads, std::size_t begin, std::size_t count, bool first,
                                             float scale, float* out) {
  for (std::size_t i = 0; i < count; ++i) {
    float sum = first ? 0.0f : out[i];
    for (int h = 0; h < kGroup; ++h) sum += heads[h][begin + i];
    out[i] = sum * scale;
  }
}

NAMM_CLONES void mean_of_heads(const float* const* heads, int group, std::size_t begin, std::size_t count, float* out) {
  const float share = 1.0f / static_cast<float>(group);
  for (int h = 0; h < group; h += 4) {
    const int rest = group - h;
    const float scale = rest <= 4 ? share : 1.0f;
    if (rest >= 4) add_heads<4>(heads + h, begin, count, h == 0, scale, out);
    if (rest == 3) add_heads<3>(heads + h, begin, count, h == 0, scale, out);
    if (rest == 2) add_heads<2>(heads + h, begin, count, h == 0, scale, out);
    if (rest == 1) add_heads<1>(heads + h, begin, count, h == 0, scale, out);
  }
}

void advance_rows(const float* const* rows, float* ema, std::size_t tokens, float decay, bool magnitudes_only) {
  advance_blocks(rows, ema, tokens, decay, magnitudes_only);
  const std::size_t rest = tokens % kLanes, first = tokens - rest;
  if (rest == 0) return;
  // the last, incomplete block goes through padded copies
  float padded[kFrame][kLanes] = {}, padded_ema[kLanes * kBins] = {};
  const float* padded_rows[kFrame];
  for (std::size_t m = 0; m < kFrame; ++m) {
    std::copy_n(rows[m] + first, rest, padded[m]);
    padded_rows[m] = padded[m];
  }
  std::copy_n(ema + first * kBins, rest * kBins, padded_ema);
  advance_blocks(padded_rows, padded_ema, kLanes, decay, magnitudes_only);
  std::copy_n(padded_ema, rest * kBins, ema + first * kBins);
}

/// From [tokens][32]: transposes a few tokens at a time.
void advance_tokens(const float* signal, float* ema, std::size_t tokens, float decay, bool magnitudes_only) {
  float transposed[kFrame][kLanes] = {};
  const float* rows[kFrame];
  for (std::size_t m = 0; m < kFrame; ++m) rows[m] = transposed[m];
  for (std::size_t first = 0; first < tokens; first += kLanes) {
    const std::size_t count = std::min(kLanes, tokens - first);
    for (std::size_t lane = 0; lane < count; ++lane) {
      for (std::size_t m = 0; m < kFrame; ++m) transposed[m][lane] = signal[(first + lane) * kFrame + m];
    }
    advance_rows(rows, ema + first * kBins, count, decay, magnitudes_only);
  }
}

}  // namespace

void spectrogram_frame(const float* signal, float* ema, std::size_t tokens, float decay) {
  advance_tokens(signal, ema, tokens, decay, false);
}

void spectrogram_frame_rows(const float* const* rows, float* ema, std::size_t tokens, float decay) {
  advance_rows(rows, ema, tokens, decay, false);
}

void spectrogram_probabilities(const float* const* heads, int group, std::size_t stride, std::size_t rows, std::size_t tokens,
                               float* left, float* ema, float decay) {
  if (rows % kHopRows != 0)
    throw std::invalid_argument("spectrogram: rows must be a multiple of 16, are " + std::to_string(rows) +
                                "; keep the rest for the next call");
  alignas(64) float ring[kFrame * kPitch], columns[kBins * kPitch];
  const auto query_heads = static_cast<std::size_t>(group);
  std::vector<const float*> sources(query_heads);
  for (std::size_t begin = 0; begin < tokens && rows > 0; begin += kColumns) {
    const std::size_t count = std::min(kColumns, tokens - begin), whole = (count + kLanes - 1) / kLanes * kLanes;
    for (std::size_t m = 0; m < kHopRows; ++m) std::copy_n(left + m * tokens + begin, count, ring + m * kPitch);
    for (std::size_t i = 0; i < count; ++i)
      for (std::size_t k = 0; k < kBins; ++k) columns[k * kPitch + i] = ema[(begin + i) * kBins + k];
    // lanes behind the last token compute along: they must not be slow or trap
    for (std::size_t m = 0; m < kFrame; ++m) std::fill(ring + m * kPitch + count, ring + m * kPitch + whole, 0.0f);
    for (std::size_t k = 0; k < kBins; ++k) std::fill(columns + k * kPitch + count, columns + k * kPitch + whole, 0.0f);
    for (std::size_t row = 0; row < rows; row += kHopRows) {
      // the two halves of the ring take turns as the older and the newer hop
      const std::size_t half = row / kHopRows % 2;
      const float* frame[kFrame];
      for (std::size_t m = 0; m < kHopRows; ++m) {
        float* const mean = ring + ((1 - half) * kHopRows + m) * kPitch;
        for (std::size_t h = 0; h < query_heads; ++h) sources[h] = heads[h] + (row + m) * stride;
        mean_of_heads(sources.data(), group, begin, count, mean);
        frame[m] = ring + (half * kHopRows + m) * kPitch;
        frame[kHopRows + m] = mean;
      }
      advance_columns(frame, columns, whole, decay);
    }
    const std::size_t newest = rows / kHopRows % 2;
    for (std::size_t m = 0; m < kHopRows; ++m)
      std::copy_n(ring + (newest * kHopRows + m) * kPitch, count, left + m * tokens + begin);
    for (std::size_t i = 0; i < count; ++i)
      for (std::size_t k = 0; k < kBins; ++k) ema[(begin + i) * kBins + k] = columns[k * kPitch + i];
  }
}

void spectrogram_magnitudes(const float* signal, float* magnitudes, std::size_t tokens) {
  advance_tokens(signal, magnitudes, tokens, 0.0f, true);
}

}  // namespace namm::kernels
