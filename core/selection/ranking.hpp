#pragma once
#include <bit>
#include <cmath>
#include <cstdint>

namespace namm::detail {

/// Maps a score to an integer with the same order. NaN is the lowest, both zeros are equal.
inline std::uint32_t ordered_bits(float score) {
  if (std::isnan(score)) return 0;
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(score == 0.0f ? 0.0f : score);
  return (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
}

/// The total order of tokens: score, then newer first, then (across heads) earlier head first. Greater `key` = better.
struct Candidate {
  std::uint64_t key;  ///< ordered score in the high half, position in the low half
  std::uint32_t head;
  std::int32_t index;  ///< of the token in its head
};

inline Candidate candidate(float score, std::int32_t position, std::size_t head, std::size_t index) {
  const std::uint64_t key = (std::uint64_t{ordered_bits(score)} << 32) | static_cast<std::uint32_t>(position);
  return {key, static_cast<std::uint32_t>(head), static_cast<std::int32_t>(index)};
}

inline bool better(const Candidate& a, const Candidate& b) {
  return a.key != b.key ? a.key > b.key : a.head < b.head;
}

}  // namespace namm::detail
