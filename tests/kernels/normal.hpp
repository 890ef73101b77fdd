#pragma once
#include <cstddef>
#include <random>
#include <vector>

namespace namm::test {

/// Normally distributed numbers around 0.
inline std::vector<float> normal(std::size_t count, unsigned seed, float deviation) {
  std::mt19937 rng(seed);
  std::normal_distribution<float> distribution(0, deviation);
  std::vector<float> out(count);
  for (float& x : out) x = distribution(rng);
  return out;
}

}  // namespace namm::test
