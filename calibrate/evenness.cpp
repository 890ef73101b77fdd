#include "calibrate/evenness.hpp"

#include <cmath>
#include <stdexcept>

namespace namm::calibrate {

void Evenness::add(std::span<const float> attention) {
  if (attention.size() < kFewest) return;
  double sum = 0, weighted = 0;
  for (const float a : attention) {
    if (!(a > 0)) continue;
    sum += a;
    weighted += a * std::log(static_cast<double>(a));
  }
  if (!(sum > 0)) return;
  const double entropy = std::log(sum) - weighted / sum;  // of a / sum
  attended_ += sum;
  even_ += sum * std::fmin(1, std::exp(entropy) / static_cast<double>(attention.size()));
}

void Evenness::add(const Evenness& other) {
  attended_ += other.attended_;
  even_ += other.even_;
}

Evenness Evenness::of(double attended, double even) {
  if (!(even >= 0 && even <= attended && std::isfinite(attended)))
    throw std::invalid_argument("evenness: must be of sums from 0, the first no smaller than the second, is of others");
  Evenness out;
  out.attended_ = attended;
  out.even_ = even;
  return out;
}

}  // namespace namm::calibrate
