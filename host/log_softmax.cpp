#include "host/log_softmax.hpp"

#include <algorithm>
#include <cmath>

namespace namm {

LogSumExp log_sum_exp(std::span<const float> logits) {
  const double maximum = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float x : logits) sum += std::exp(x - maximum);
  return {maximum, std::log(sum)};
}

double log_probability(std::span<const float> logits, Token token) {
  const LogSumExp all = log_sum_exp(logits);
  return logits[static_cast<std::size_t>(token)] - all.maximum - all.log_sum;
}

std::vector<float> log_softmax(std::span<const float> logits) {
  const double total = log_sum_exp(logits).total();
  std::vector<float> out(logits.size());
  std::transform(logits.begin(), logits.end(), out.begin(), [&](float x) { return static_cast<float>(x - total); });
  return out;
}

}  // namespace namm
