#pragma once
#include <cstddef>

#include "kernels/bam.hpp"

namespace namm::kernels {

/// Floats of workspace for problems of at most `longest` tokens each.
constexpr std::size_t bam_workspace(std::size_t problems, std::size_t longest) {
  return problems * longest * 96;
}

/// bam_scores() of many problems on a CUDA device: all heads of a model under one policy, or a population on the same features.
/// Built with NAMM_WITH_CUDA. problems [count] and all it points to, and the workspace, are device memory; `longest` is the most
/// tokens of a problem. Two kernels on `stream` (a cudaStream_t); does not wait. Throws std::runtime_error if a launch fails.
void bam_scores_cuda(const BamProblem* problems, int count, std::size_t longest, std::size_t width, float* workspace,
                     void* stream);

}  // namespace namm::kernels
