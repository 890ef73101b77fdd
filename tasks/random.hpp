#pragma once
#include <boost/random/mersenne_twister.hpp>
#include <boost/random/uniform_int_distribution.hpp>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "tasks/task.hpp"

namespace namm::tasks {

/// SplitMix64's finaliser (Steele, Lea & Flood, OOPSLA 2014): spreads every input bit over the whole word.
std::uint64_t mix64(std::uint64_t value);
/// FNV-1a, 64 bits, finished with `mix64`. The same on every machine, unlike std::hash.
std::uint64_t hash_text(std::string_view text);

/// Random numbers that are the same on every machine: mt19937_64 and Boost's distributions (std:: ones differ).
class Rng {
 public:
  /// An independent stream for each combination; `purpose` keeps tasks and parts of a task apart.
  Rng(std::string_view purpose, Split split, std::uint64_t seed, std::uint64_t index);

  /// Uniform in [low, high], both included.
  std::uint64_t between(std::uint64_t low, std::uint64_t high) {
    return boost::random::uniform_int_distribution<std::uint64_t>(low, high)(engine_);
  }
  /// Uniform in [0, count).
  std::size_t below(std::size_t count) { return static_cast<std::size_t>(between(0, count - 1)); }
  /// Uniform in [0, 1), 53 bits.
  double fraction() { return static_cast<double>(engine_() >> 11) * 0x1.0p-53; }

 private:
  boost::random::mt19937_64 engine_;
};

/// A uniformly random order (Fisher-Yates).
template <class T>
void shuffle(std::vector<T>& values, Rng& rng) {
  for (std::size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[rng.below(i)]);
}

}  // namespace namm::tasks
