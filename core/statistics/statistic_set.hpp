#pragma once
#include <cstdint>

namespace namm {

/// What can be known about a cached token. A policy names what it reads; nothing else is computed.
enum class Statistic : std::uint32_t {
  spectrogram = 1u << 0,   ///< EMA of the short-time Fourier magnitudes of the attention received (arXiv 2410.13166)
  accumulated = 1u << 1,   ///< sum over queries of the attention received (H2O, arXiv 2306.14048)
  queries_seen = 1u << 2,  ///< number of queries that could see the token
  last_row = 1u << 3,      ///< attention received from the newest query (TOVA, arXiv 2401.06104)
  window_mean = 1u << 4,   ///< mean attention received from the newest queries (SnapKV, arXiv 2404.14469)
  key_norm = 1u << 5,      ///< Euclidean norm of the key
  value_norm = 1u << 6,    ///< Euclidean norm of the value
  content = 1u << 7,       ///< what the policy's ContentReader read from the token's key and value when it entered the cache
};

/// A set of statistics.
class StatisticSet {
 public:
  constexpr StatisticSet() = default;
  constexpr StatisticSet(Statistic one) : bits_(static_cast<std::uint32_t>(one)) {}
  constexpr bool has(Statistic one) const { return (bits_ & static_cast<std::uint32_t>(one)) != 0; }
  constexpr bool empty() const { return bits_ == 0; }
  /// True if any member is computed from attention probabilities.
  constexpr bool reads_attention() const {
    return has(Statistic::spectrogram) || has(Statistic::accumulated) || has(Statistic::last_row) || has(Statistic::window_mean);
  }
  constexpr friend StatisticSet operator|(StatisticSet a, StatisticSet b) {
    StatisticSet out;
    out.bits_ = a.bits_ | b.bits_;
    return out;
  }
  constexpr friend bool operator==(StatisticSet, StatisticSet) = default;

 private:
  std::uint32_t bits_ = 0;
};

constexpr StatisticSet operator|(Statistic a, Statistic b) {
  return StatisticSet(a) | StatisticSet(b);
}

}  // namespace namm
