#pragma once
#include <span>
#include <vector>

#include "host/host.hpp"

namespace namm {

/// Logarithm of a sum of exponentials, in two parts. What is subtracted first shows in the last digits: evolution subtracts one
/// after the other, evaluation their sum, and both go on as they began.
struct LogSumExp {
  double maximum = 0, log_sum = 0;
  double total() const { return maximum + log_sum; }
};

/// In double. logits: [vocabulary], not empty.
LogSumExp log_sum_exp(std::span<const float> logits);

/// Natural log-probability of a token.
double log_probability(std::span<const float> logits, Token token);

/// Natural log-probabilities of all tokens, [vocabulary].
std::vector<float> log_softmax(std::span<const float> logits);

}  // namespace namm
