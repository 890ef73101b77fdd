#pragma once
#include <cstddef>

namespace namm::kernels {

/// Backward attention memory (arXiv 2410.13166; spec section 5): one head of width 32 in which a token attends to itself and to
/// newer tokens, then a multiplicative residual and a linear read-out.
/// features: [tokens][width] row-major, position order; parameters: flat W_qkv [width][96], b_qkv [96], W_o [32][2*width],
/// b_o [2*width], w [width], b [1]; scores: [tokens]. No tokens x tokens matrix is held. tokens may be 0.
void bam_scores(const float* features, std::size_t tokens, std::size_t width, const float* parameters, float* scores);

}  // namespace namm::kernels
