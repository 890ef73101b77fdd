#pragma once
#include <cstddef>

namespace namm::kernels {

/// One frame of the attention spectrogram and its moving average (arXiv 2410.13166; spec sections 1 and 2), for `tokens` tokens:
///   ema[i][k] = decay * ema[i][k] + (1 - decay) * | sum_m w[m] x_i[m] exp(-2 pi i k m / 32) |,  k = 0..16, w periodic Hann.
/// signal: [tokens][32] row-major; ema: [tokens][17], updated in place; decay = gamma^hop. tokens may be 0.
void spectrogram_frame(const float* signal, float* ema, std::size_t tokens, float decay);

/// The same, bit for bit, from 32 rows of attention as they come out of the attention kernel: rows[m][i] = x_i[m], m = 0 the
/// oldest.
void spectrogram_frame_rows(const float* const* rows, float* ema, std::size_t tokens, float decay);

/// The magnitudes alone (goldens, tests): magnitudes [tokens][17].
void spectrogram_magnitudes(const float* signal, float* magnitudes, std::size_t tokens);

}  // namespace namm::kernels
