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

/// Frame after frame from the probabilities of a host that has them: heads[h] [rows][stride], h < group, the query heads that
/// share a KV head; their mean is formed on the way and never stored but for the hop in work.
/// rows: a multiple of 16, 0 allowed (else std::invalid_argument); left: [16][tokens], means of the 16 rows before (zeros at the
/// start of a sequence), replaced by the newest 16; ema: [tokens][17].
void spectrogram_probabilities(const float* const* heads, int group, std::size_t stride, std::size_t rows, std::size_t tokens,
                               float* left, float* ema, float decay);

/// The magnitudes alone (goldens, tests): magnitudes [tokens][17].
void spectrogram_magnitudes(const float* signal, float* magnitudes, std::size_t tokens);

}  // namespace namm::kernels
