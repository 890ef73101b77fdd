#pragma once
#include <algorithm>
#include <cmath>
#include <span>

#include "host/host.hpp"

namespace namm::llama {

/// Natural log-probability of a token. logits: [vocabulary].
inline double log_probability(std::span<const float> logits, Token token) {
  const float maximum = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float x : logits) sum += std::exp(static_cast<double>(x) - maximum);
  return static_cast<double>(logits[static_cast<std::size_t>(token)]) - maximum - std::log(sum);
}

}  // namespace namm::llama
