#pragma once
#include <cstdint>
#include <vector>

#include "trace/reader.hpp"

namespace namm::trace {

/// How much the heads of a model count.
enum class HeadWeights {
  uniform,
  /// w_h = mean over prompts of Σ_t (a_t ‖v_t‖)²: a_t the attention of the answer's positions to token t, v_t its value. It is
  /// the squared change of the head's output by the logarithm of a token's mask; the share of the squared gradient without the
  /// part behind the head, which needs a backward pass.
  contribution,
};

/// One weight per recorded head, in the order of the layers; they sum to 1. From the training prompts, or all if there are none;
/// the first `sinks` tokens do not count.
std::vector<double> head_weights(const Reader& trace, HeadWeights kind, int sinks);

/// S* = Σ_h w_h × (attention of the answer's positions to the kept tokens) / (to all tokens), of which the first `sinks` do not
/// count: they are always kept and draw attention that says nothing. In [0, 1]; a head without any counts as kept.
/// kept: by recorded head, positions.
double retained_attention(const PromptRecord& prompt, const std::vector<std::vector<std::int32_t>>& kept,
                          const std::vector<double>& weights, int sinks);

}  // namespace namm::trace
