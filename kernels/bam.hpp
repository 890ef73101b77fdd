#pragma once
#include <cstddef>
#include <span>

namespace namm::kernels {

/// Numbers that parameterise the network for features of this width: W_qkv [width][96], b_qkv [96], W_o [32][2*width],
/// b_o [2*width], w [width], b [1], one behind the other.
constexpr std::size_t bam_parameter_count(std::size_t width) {
  return width * 96 + 96 + 32 * 2 * width + 2 * width + width + 1;
}

/// Backward attention memory (arXiv 2410.13166; spec section 5): one head of width 32 in which a token attends to itself and to
/// newer tokens, then a multiplicative residual and a linear read-out.
/// features: [tokens][width] row-major, position order; parameters: bam_parameter_count(width) numbers; scores: [tokens].
/// Softmax online over tiles of 64 keys, no tokens x tokens matrix. tokens may be 0. Every machine with fused multiply-adds
/// gives the same bits, and so does the scalar twin; one without rounds twice.
void bam_scores(const float* features, std::size_t tokens, std::size_t width, const float* parameters, float* scores);

/// One (layer, KV head), or one candidate of a population: fields as for bam_scores().
struct BamProblem {
  const float* features = nullptr;
  std::size_t tokens = 0;
  const float* parameters = nullptr;
  float* scores = nullptr;
};

/// Many of them on `threads` threads. Features and parameters may be shared: all heads under one policy, or a population of
/// parameter vectors on the same features (evolution on recorded traces). Same bits as one by one, whatever the threads.
void bam_scores(std::span<const BamProblem> problems, std::size_t width, int threads);

/// A population on the same features: parameters [candidates][bam_parameter_count(width)], scores [candidates][tokens].
void bam_scores_population(const float* features, std::size_t tokens, std::size_t width, const float* parameters,
                           std::size_t candidates, float* scores, int threads);

namespace scalar {
/// The readable definition of bam_scores(), operation by operation.
void bam_scores(const float* features, std::size_t tokens, std::size_t width, const float* parameters, float* scores);
}  // namespace scalar

}  // namespace namm::kernels
